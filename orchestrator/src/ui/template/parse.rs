//! From pieces to a tree.

use serde_json::Value;

use super::lex::{Kind, Piece, Token};
use super::{Fault, Offset};

/// A part of a template.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Text(String),
    /// A pipeline: printed, unless it sets a variable.
    Show(Pipe),
    If {
        branches: Vec<(Pipe, Vec<Node>)>,
        otherwise: Vec<Node>,
    },
    With {
        branches: Vec<(Pipe, Vec<Node>)>,
        otherwise: Vec<Node>,
    },
    Range {
        over: Pipe,
        each: Vec<Node>,
        otherwise: Vec<Node>,
    },
    Break,
    Continue,
}

/// Commands, each of which gets the one before as its last value.
#[derive(Clone, Debug, Default)]
pub(super) struct Pipe {
    pub(super) at: usize,
    /// The variables it sets.
    pub(super) variables: Vec<String>,
    /// Whether they exist already.
    pub(super) assigns: bool,
    pub(super) commands: Vec<Vec<Operand>>,
}

/// A value, and the fields looked up in it.
#[derive(Clone, Debug)]
pub(super) struct Operand {
    pub(super) at: usize,
    pub(super) term: Term,
    pub(super) fields: Vec<(usize, String)>,
}

#[derive(Clone, Debug)]
pub(super) enum Term {
    Dot,
    Variable(String),
    Literal(Value),
    Function(String),
    Pipe(Box<Pipe>),
}

/// Reads the whole template.
pub(super) fn parse(pieces: Vec<Piece>) -> Offset<Vec<Node>> {
    let mut parser = Parser {
        pieces: pieces.into_iter(),
        loops: 0,
    };
    let (nodes, stop) = parser.nodes()?;
    match stop {
        None => Ok(nodes),
        Some(stop) => Err((stop.at, unexpected(&stop.word, "a block to end"))),
    }
}

fn unexpected(found: &str, wanted: &'static str) -> Fault {
    Fault::Unexpected {
        found: format!("`{found}`"),
        wanted,
    }
}

/// `end` or `else …`, with what follows the word.
struct Stop {
    at: usize,
    word: String,
    rest: Tokens,
}

struct Parser {
    pieces: std::vec::IntoIter<Piece>,
    /// How many loops are around us.
    loops: usize,
}

const BLOCKS: [&str; 3] = ["if", "with", "range"];

impl Parser {
    /// Nodes up to the next `end` or `else` that is not theirs.
    fn nodes(&mut self) -> Offset<(Vec<Node>, Option<Stop>)> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let (at, tokens) = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Piece::Action(at, tokens) => (at, tokens),
            };
            let mut tokens = Tokens::new(at, tokens);
            let word = tokens.keyword();
            match word.as_deref() {
                Some("end" | "else") => {
                    let stop = Stop {
                        at,
                        word: word.unwrap_or_default(),
                        rest: tokens,
                    };
                    return Ok((nodes, Some(stop)));
                }
                Some(word) => nodes.push(self.block(at, word, tokens)?),
                None => nodes.push(Node::Show(tokens.whole_pipe()?)),
            }
        }
        Ok((nodes, None))
    }

    fn block(&mut self, at: usize, word: &str, mut tokens: Tokens) -> Offset<Node> {
        match word {
            "break" | "continue" => {
                tokens.end()?;
                match (self.loops, word) {
                    (0, word) => Err((at, unexpected(word, "something outside of `range`"))),
                    (_, "break") => Ok(Node::Break),
                    _ => Ok(Node::Continue),
                }
            }
            "range" => self.range(at, &mut tokens),
            "if" => {
                let (branches, otherwise) = self.branches(at, "if", &mut tokens)?;
                Ok(Node::If {
                    branches,
                    otherwise,
                })
            }
            "with" => {
                let (branches, otherwise) = self.branches(at, "with", &mut tokens)?;
                Ok(Node::With {
                    branches,
                    otherwise,
                })
            }
            other => Err((at, Fault::Unsupported(other.to_owned()))),
        }
    }

    fn range(&mut self, at: usize, tokens: &mut Tokens) -> Offset<Node> {
        let over = tokens.whole_pipe()?;
        self.loops += 1;
        let (each, stop) = self.nodes()?;
        self.loops -= 1;
        let stop = stop.ok_or((at, Fault::NoEnd("range")))?;
        let otherwise = self.otherwise(at, "range", stop)?;
        Ok(Node::Range {
            over,
            each,
            otherwise,
        })
    }

    /// What stands behind a plain `else`, if that is what ended the part before.
    fn otherwise(&mut self, at: usize, word: &'static str, stop: Stop) -> Offset<Vec<Node>> {
        let mut rest = stop.rest;
        rest.end()?;
        if stop.word == "end" {
            return Ok(Vec::new());
        }
        let (nodes, stop) = self.nodes()?;
        let mut stop = stop.ok_or((at, Fault::NoEnd(word)))?;
        stop.rest.end()?;
        match stop.word.as_str() {
            "end" => Ok(nodes),
            word => Err((stop.at, unexpected(word, "`end`"))),
        }
    }

    #[expect(clippy::type_complexity, reason = "it is taken apart at once")]
    fn branches(
        &mut self,
        at: usize,
        word: &'static str,
        tokens: &mut Tokens,
    ) -> Offset<(Vec<(Pipe, Vec<Node>)>, Vec<Node>)> {
        let mut branches = Vec::new();
        let mut condition = tokens.whole_pipe()?;
        loop {
            let (nodes, stop) = self.nodes()?;
            branches.push((condition, nodes));
            let mut stop = stop.ok_or((at, Fault::NoEnd(word)))?;
            if stop.word == "else" && stop.rest.is(word) {
                stop.rest.next();
                condition = stop.rest.whole_pipe()?;
                continue;
            }
            return Ok((branches, self.otherwise(at, word, stop)?));
        }
    }
}

/// The tokens of one action.
struct Tokens {
    /// Where the action begins; what is missing is missing there.
    at: usize,
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
}

impl Tokens {
    fn new(at: usize, tokens: Vec<Token>) -> Self {
        Self {
            at,
            tokens: tokens.into_iter().peekable(),
        }
    }

    fn next(&mut self) -> Option<Token> {
        self.tokens.next()
    }

    fn is(&mut self, word: &str) -> bool {
        matches!(self.tokens.peek(), Some(Token { kind: Kind::Word(found), .. }) if found == word)
    }

    /// The word that begins the action, if it is one of the language's own.
    fn keyword(&mut self) -> Option<String> {
        let known = |word: &str| {
            BLOCKS.contains(&word)
                || matches!(
                    word,
                    "end" | "else" | "break" | "continue" | "define" | "template" | "block"
                )
        };
        match self.tokens.peek() {
            Some(Token {
                kind: Kind::Word(word),
                ..
            }) if known(word) => {
                let word = word.clone();
                self.next();
                Some(word)
            }
            _ => None,
        }
    }

    fn end(&mut self) -> Offset<()> {
        match self.next() {
            None => Ok(()),
            Some(token) => Err((token.at, unexpected(&show(&token.kind), "`}}`"))),
        }
    }

    fn whole_pipe(&mut self) -> Offset<Pipe> {
        let pipe = self.pipe(false)?;
        self.end()?;
        Ok(pipe)
    }

    fn pipe(&mut self, in_brackets: bool) -> Offset<Pipe> {
        let at = self.tokens.peek().map_or(self.at, |token| token.at);
        let mut pipe = Pipe {
            at,
            ..Pipe::default()
        };
        self.declaration(&mut pipe)?;
        loop {
            pipe.commands.push(self.command()?);
            match self.tokens.peek().map(|token| &token.kind) {
                Some(Kind::Pipe) => drop(self.next()),
                Some(Kind::Close) if in_brackets => return Ok(pipe),
                None if !in_brackets => return Ok(pipe),
                None => return Err((at, nothing("`)`"))),
                Some(_) => {
                    self.end()?;
                }
            }
        }
    }

    /// `$a :=`, `$a, $b :=`, `$a =`, if one stands here.
    fn declaration(&mut self, pipe: &mut Pipe) -> Offset<()> {
        let ahead: Vec<Kind> = self
            .tokens
            .clone()
            .take(4)
            .map(|token| token.kind)
            .collect();
        let (variables, sign) = match ahead.as_slice() {
            [
                Kind::Variable(first),
                sign @ (Kind::Declare | Kind::Assign),
                ..,
            ] => (vec![first.clone()], sign),
            [
                Kind::Variable(first),
                Kind::Comma,
                Kind::Variable(second),
                sign @ (Kind::Declare | Kind::Assign),
            ] => (vec![first.clone(), second.clone()], sign),
            _ => return Ok(()),
        };
        pipe.assigns = *sign == Kind::Assign;
        for _ in 0..variables.len() * 2 {
            self.next();
        }
        pipe.variables = variables;
        Ok(())
    }

    fn command(&mut self) -> Offset<Vec<Operand>> {
        let mut operands = Vec::new();
        while let Some(token) = self.tokens.peek() {
            if matches!(token.kind, Kind::Pipe | Kind::Close) {
                break;
            }
            operands.push(self.operand()?);
        }
        if operands.is_empty() {
            let at = self.tokens.peek().map_or(self.at, |token| token.at);
            return Err((at, nothing("a value")));
        }
        Ok(operands)
    }

    fn operand(&mut self) -> Offset<Operand> {
        let Some(Token { at, kind, .. }) = self.next() else {
            return Err((self.at, nothing("a value")));
        };
        let mut fields = Vec::new();
        let term = match kind {
            Kind::Dot => Term::Dot,
            Kind::Field(name) => {
                fields.push((at, name));
                Term::Dot
            }
            Kind::Variable(name) => Term::Variable(name),
            Kind::Text(text) => Term::Literal(Value::String(text)),
            Kind::Number(number) => Term::Literal(Value::Number(number)),
            Kind::Word(word) => match word.as_str() {
                "true" => Term::Literal(Value::Bool(true)),
                "false" => Term::Literal(Value::Bool(false)),
                "nil" => Term::Literal(Value::Null),
                _ => Term::Function(word),
            },
            Kind::Open => {
                let pipe = self.pipe(true)?;
                self.next();
                Term::Pipe(Box::new(pipe))
            }
            kind => return Err((at, unexpected(&show(&kind), "a value"))),
        };
        while let Some(Token {
            at,
            kind: Kind::Field(name),
            apart: false,
        }) = self.tokens.peek()
        {
            fields.push((*at, name.clone()));
            self.next();
        }
        Ok(Operand { at, term, fields })
    }
}

fn nothing(wanted: &'static str) -> Fault {
    Fault::Unexpected {
        found: "nothing".into(),
        wanted,
    }
}

fn show(kind: &Kind) -> String {
    match kind {
        Kind::Field(name) => format!(".{name}"),
        Kind::Dot => ".".into(),
        Kind::Variable(name) | Kind::Word(name) => name.clone(),
        Kind::Text(text) => format!("\"{text}\""),
        Kind::Number(number) => number.to_string(),
        Kind::Open => "(".into(),
        Kind::Close => ")".into(),
        Kind::Pipe => "|".into(),
        Kind::Comma => ",".into(),
        Kind::Declare => ":=".into(),
        Kind::Assign => "=".into(),
    }
}
