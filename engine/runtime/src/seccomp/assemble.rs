//! From verdicts to classic BPF.
//!
//! Every piece below is a self-contained block whose jumps stay inside it or fall off its end, so that blocks are put
//! together by plain concatenation and no label has to be resolved afterwards.

use super::profile::{Action, Condition, Op};
use super::resolve::{Resolved, Rule, Section, Verdict};
use super::syscalls::X32_BIT;
use super::{Arch, CompileError, SockFilter};

/// `BPF_MAXINSNS`.
const MOST: usize = 4096;

// Where the kernel's `struct seccomp_data` has what (little-endian: low half of an argument first).
const NR: u32 = 0;
const ARCH: u32 = 4;
const ARGS: u32 = 16;

// Operations, as `linux/bpf_common.h` composes them.
const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const JEQ: u16 = 0x15;
const JGT: u16 = 0x25;
const JGE: u16 = 0x35;
const RETURN: u16 = 0x06;

pub(super) type Block = Vec<SockFilter>;

/// The whole program.
pub(super) fn assemble(resolved: &Resolved) -> Result<Block, CompileError> {
    let mut program = vec![load(ARCH)];
    let mut audits: Vec<u32> = resolved
        .sections
        .iter()
        .map(|section| section.arch.audit())
        .collect();
    audits.dedup();
    for audit in audits {
        let of = |wanted: fn(Arch) -> bool| {
            resolved
                .sections
                .iter()
                .find(|s| s.arch.audit() == audit && wanted(s.arch))
        };
        let block = convention(
            of(|arch| arch != Arch::X32),
            of(|arch| arch == Arch::X32),
            audit,
        );
        program.extend(unless(audit, block.len()));
        program.extend(block);
    }
    program.push(ret(Action::KILL_PROCESS));
    if program.len() > MOST {
        return Err(CompileError::TooLong(program.len()));
    }
    Ok(program)
}

/// All calls that come with one audit number: x86-64 and x32 share theirs, and a process may switch between the two
/// at will, so the half that has no rules must not fall to the other's.
fn convention(plain: Option<&Section>, x32: Option<&Section>, audit: u32) -> Block {
    let body = |section: Option<&Section>| {
        section.map_or_else(|| vec![ret(Action::KILL_PROCESS)], numbers)
    };
    let mut block = vec![load(NR)];
    if audit == Arch::X32.audit() {
        block.extend(branch(X32_BIT, body(plain), body(x32)));
    } else {
        block.extend(body(plain));
    }
    block
}

/// A balanced tree over ranges of numbers with the same verdict: as deep as the logarithm of their count.
fn numbers(section: &Section) -> Block {
    tree(&ranges(section))
}

/// A range starts here and has this code.
struct Range {
    first: u32,
    code: Block,
}

fn ranges(section: &Section) -> Vec<Range> {
    let mut edges: Vec<u32> = section
        .rules
        .keys()
        .flat_map(|number| [*number, number + 1])
        .collect();
    edges.extend(section.unheard_of);
    edges.push(0);
    edges.sort_unstable();
    edges.dedup();
    let mut ranges: Vec<Range> = Vec::new();
    for first in edges {
        let code = match section.rules.get(&first) {
            None => vec![ret(section.without_rule(first))],
            Some(Verdict::Always(action)) => vec![ret(*action)],
            Some(Verdict::FirstOf(rules)) => conditional(rules, section.default),
        };
        if ranges.last().is_none_or(|last| last.code != code) {
            ranges.push(Range { first, code });
        }
    }
    ranges
}

fn tree(ranges: &[Range]) -> Block {
    match ranges {
        [] => Vec::new(),
        [only] => only.code.clone(),
        _ => shared(ranges).unwrap_or_else(|| {
            let (low, high) = ranges.split_at(ranges.len() / 2);
            branch(high[0].first, tree(low), tree(high))
        }),
    }
}

/// As far as short jumps reach: all comparisons, then each code they lead to, once. Most ranges share one of two
/// verdicts, so this halves the program, and with it the time the kernel takes to check and translate it.
fn shared(ranges: &[Range]) -> Option<Block> {
    let mut end = ranges.len() - 1;
    let mut codes: Vec<(&Block, usize)> = Vec::new();
    for Range { code, .. } in ranges {
        if codes.iter().all(|(other, _)| *other != code) {
            codes.push((code, end));
            end += code.len();
        }
    }
    u8::try_from(end).ok()?;
    let mut block = Block::with_capacity(end);
    let start = |range: &Range| {
        codes
            .iter()
            .find(|(code, _)| **code == range.code)
            .map_or(end, |(_, start)| *start)
    };
    compare(ranges, &start, &mut block);
    block.extend(codes.iter().flat_map(|(code, _)| code.iter()));
    Some(block)
}

/// Appends the comparisons that tell `ranges` (two or more) apart and returns where they begin.
fn compare(ranges: &[Range], start: &impl Fn(&Range) -> usize, block: &mut Block) -> usize {
    let here = block.len();
    let (low, high) = ranges.split_at(ranges.len() / 2);
    block.push(jump(JGE, high[0].first, 0, 0));
    let mut place = |part: &[Range]| match part {
        [only] => start(only),
        _ => compare(part, start, block),
    };
    let (low, high) = (place(low), place(high));
    // The caller has made sure that everything lies within reach.
    let distance = |target: usize| u8::try_from(target - here - 1).unwrap_or(u8::MAX);
    block[here].jf = distance(low);
    block[here].jt = distance(high);
    here
}

/// `low` when the accumulator is below `pivot`, else `high`. Neither falls through.
///
/// A conditional jump reaches 255 instructions; past that it takes a plain jump, which reaches everywhere.
fn branch(pivot: u32, low: Block, high: Block) -> Block {
    let mut block = match u8::try_from(low.len()) {
        Ok(near) => vec![jump(JGE, pivot, near, 0)],
        Err(_) => vec![jump(JGE, pivot, 0, 1), skip(low.len())],
    };
    block.extend(low);
    block.extend(high);
    block
}

/// Skips the next `len` instructions unless the accumulator holds `value`.
fn unless(value: u32, len: usize) -> Block {
    match u8::try_from(len) {
        Ok(near) => vec![jump(JEQ, value, 0, near)],
        Err(_) => vec![jump(JEQ, value, 1, 0), skip(len)],
    }
}

/// The first rule that holds, else the default. Loads arguments over the number, which is no longer needed.
fn conditional(rules: &[Rule], default: Action) -> Block {
    let mut block: Block = rules.iter().flat_map(one_rule).collect();
    block.push(ret(default));
    block
}

/// Returns the action when all conditions hold, else falls off the end.
fn one_rule(rule: &Rule) -> Block {
    let mut block = vec![ret(rule.action)];
    for condition in rule.when.iter().rev() {
        let mut tested = test(condition, block.len());
        tested.extend(block);
        block = tested;
    }
    block
}

/// Falls off the end when the condition holds, else skips `rest` instructions more.
///
/// The accumulator has 32 bits, arguments 64: the high half decides unless it is equal, then the low half does.
/// A rule has at most six conditions of at most five instructions, so every jump here is short.
fn test(condition: &Condition, rest: usize) -> Block {
    let rest = u8::try_from(rest).unwrap_or(u8::MAX);
    let low_at = ARGS + 8 * condition.index;
    let (low, high) = halves(condition.value);
    let (load_high, load_low) = (load(low_at + 4), load(low_at));
    // `holds` and `fails` count from the first of the two comparisons of the high half.
    let ordered = |last: SockFilter, above: u8, below: u8| {
        vec![
            load_high,
            jump(JGT, high, above, 0),
            jump(JEQ, high, 0, below),
            load_low,
            last,
        ]
    };
    match condition.op {
        Op::Eq => vec![
            load_high,
            jump(JEQ, high, 0, rest + 2),
            load_low,
            jump(JEQ, low, 0, rest),
        ],
        Op::Ne => vec![
            load_high,
            jump(JEQ, high, 0, 2),
            load_low,
            jump(JEQ, low, rest, 0),
        ],
        Op::MaskedEq => {
            let (value_low, value_high) = halves(condition.value_two);
            vec![
                load_high,
                and(high),
                jump(JEQ, value_high, 0, rest + 3),
                load_low,
                and(low),
                jump(JEQ, value_low, 0, rest),
            ]
        }
        Op::Gt => ordered(jump(JGT, low, 0, rest), 3, rest + 2),
        Op::Ge => ordered(jump(JGE, low, 0, rest), 3, rest + 2),
        Op::Lt => ordered(jump(JGE, low, rest, 0), rest + 3, 2),
        Op::Le => ordered(jump(JGT, low, rest, 0), rest + 3, 2),
    }
}

fn halves(value: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
    (
        u32::from_le_bytes([a, b, c, d]),
        u32::from_le_bytes([e, f, g, h]),
    )
}

fn load(offset: u32) -> SockFilter {
    SockFilter {
        code: LOAD,
        jt: 0,
        jf: 0,
        k: offset,
    }
}

fn and(mask: u32) -> SockFilter {
    SockFilter {
        code: AND,
        jt: 0,
        jf: 0,
        k: mask,
    }
}

fn jump(code: u16, k: u32, jt: u8, jf: u8) -> SockFilter {
    SockFilter { code, jt, jf, k }
}

fn skip(count: usize) -> SockFilter {
    // Past u32 the program is far too long anyway, which is refused at the end.
    SockFilter {
        code: JUMP,
        jt: 0,
        jf: 0,
        k: u32::try_from(count).unwrap_or(u32::MAX),
    }
}

fn ret(action: Action) -> SockFilter {
    SockFilter {
        code: RETURN,
        jt: 0,
        jf: 0,
        k: action.0,
    }
}
