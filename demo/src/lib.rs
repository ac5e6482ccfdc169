//! The program inside the built-in image `bowline/demo`: many small verbs in one file, for first
//! runs, examples and tests. It knows nothing of the engine that started it.
//!
//! The binary that holds it is static, so it never asks the C library for a name: host names are
//! looked up by [`resolve`] in `/etc/hosts` and by its own queries to the servers of
//! `/etc/resolv.conf`.
//!
//! A verb gets its words and writes to standard output; what goes wrong is a [`Fault`], printed as
//! one line. Exit codes: 0 done, 1 failed, 2 called wrongly.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the guest is a command-line program: printing is what it is for"
)]

mod count;
mod dns;
mod echo;
mod files;
mod http;
mod image;
mod kernel;
mod net;
mod resolve;
mod signals;
mod web;
mod words;
mod work;

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::Path;

pub use image::{Content, ImageConfig, ImageFile, VERSION, image_config, image_files};
use words::{Fault, Outcome, Words};

/// One verb: its name, how it is called, and what it does.
struct Verb {
    name: &'static str,
    usage: &'static str,
    run: fn(Words) -> Outcome,
}

const fn verb(name: &'static str, usage: &'static str, run: fn(Words) -> Outcome) -> Verb {
    Verb { name, usage, run }
}

const TABLE: &[Verb] = &[
    verb("burn", "SECONDS: keep one processor busy", work::burn),
    verb(
        "caps",
        "print capability sets and no_new_privs",
        kernel::caps,
    ),
    verb(
        "cat",
        "[FILE...]: print files, or standard input",
        files::cat,
    ),
    verb(
        "connect",
        "HOST PORT [--udp] [--send TEXT] [--timeout SECONDS]",
        net::connect,
    ),
    verb(
        "count",
        "FILE [--port 9000]: serve a number kept in FILE; POST adds one",
        count::count,
    ),
    verb("echo", "[WORD...]: print words", work::echo),
    verb("env", "print the environment", kernel::env),
    verb("exit", "CODE [--after SECONDS]", work::exit),
    verb("false", "exit 1", |_| Ok(1)),
    verb(
        "fds",
        "print open file descriptors and what they are",
        kernel::fds,
    ),
    verb(
        "healthy",
        "FILE|URL: exit 0 when the file exists, or the page answers 2xx",
        net::healthy,
    ),
    verb(
        "hog",
        "MEBIBYTES [--hold SECONDS]: use memory, and keep it",
        work::hog,
    ),
    verb(
        "hostname",
        "print host name and domain name",
        kernel::hostname,
    ),
    verb(
        "id",
        "print user, group and supplementary groups",
        kernel::id,
    ),
    verb("ls", "[DIR...]: print entries, sorted", files::ls),
    verb("mkdir", "DIR...", files::mkdir),
    verb(
        "mounts",
        "[TARGET]: print mount points, types and options",
        kernel::mounts,
    ),
    verb(
        "print",
        "LINES|forever [--interval MILLISECONDS] [--width BYTES] [--err]: numbered lines",
        work::print,
    ),
    verb(
        "query",
        "NAME [TYPE] [--server ADDRESS[:PORT]] [--tcp]: ask a name server",
        dns::query,
    ),
    verb("read", "FILE: print a file", files::cat),
    verb("rm", "[-rf] [--] PATH...", files::rm),
    verb(
        "serve",
        "[--port 8080] [--count-via URL|--count-file FILE]: a page that counts visits",
        web::serve,
    ),
    verb("sleep", "SECONDS|forever", work::sleep),
    verb(
        "stat",
        "PATH...: print type, mode, owner, size",
        files::stat,
    ),
    verb("tcp-echo", "PORT: send back what arrives", echo::tcp),
    verb(
        "threads",
        "COUNT: start threads, print how many were allowed",
        work::threads,
    ),
    verb("touch", "FILE...", files::touch),
    verb(
        "trap",
        "[--ignore SIGNAL]...: print signals; TERM, INT and QUIT end it",
        signals::trap,
    ),
    verb("true", "exit 0", |_| Ok(0)),
    verb(
        "tty",
        "print which standard streams are terminals, and their size",
        kernel::tty,
    ),
    verb("udp-echo", "PORT: send back what arrives", echo::udp),
    verb(
        "wget",
        "URL [--post TEXT] [--timeout SECONDS]: print a page",
        net::wget,
    ),
    verb(
        "write",
        "FILE [WORD...] [--append]: write words, or standard input",
        files::write,
    ),
];

/// The names of all verbs; the image has a `/bin/<verb>` for each.
pub const VERBS: &[&str] = &{
    let mut names = [""; TABLE.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = TABLE[at].name;
        at += 1;
    }
    names
};

/// Whether a program started under this name is the guest: as `demo`, or as one of its verbs.
#[must_use]
pub fn is_guest(argv0: &OsStr) -> bool {
    let name = base_name(argv0);
    name == "demo" || VERBS.contains(&&*name)
}

/// Runs the guest and returns its exit code. `args` is the whole argument vector: the verb is the
/// first word behind `demo`, or the name the program was called by.
#[must_use]
pub fn main(args: Vec<OsString>) -> i32 {
    let mut words = args.iter().map(|word| word.to_string_lossy().into_owned());
    let called = words
        .next()
        .map(|argv0| base_name(argv0.as_ref()))
        .unwrap_or_default();
    let name = match VERBS.contains(&&*called) {
        true => called,
        // Behind an entrypoint of `/demo`, a command of `/bin/true` means the verb as well.
        false => words
            .next()
            .map(|word| base_name(word.as_ref()))
            .unwrap_or_default(),
    };
    let Some(verb) = TABLE.iter().find(|verb| verb.name == name) else {
        return explain(&name);
    };
    let outcome = (verb.run)(Words::new(words));
    // A reader that has left is no reason to fail.
    drop(std::io::stdout().flush());
    match outcome {
        Ok(code) => code,
        Err(Fault::Usage(problem)) => {
            eprintln!("{name}: {problem}\nusage: {name} {}", verb.usage);
            2
        }
        Err(Fault::Failed(problem)) => {
            eprintln!("{name}: {problem}");
            1
        }
    }
}

fn explain(name: &str) -> i32 {
    let help = matches!(name, "" | "help" | "--help" | "-h");
    if !help {
        eprintln!("demo: no verb `{name}`");
    }
    println!("The program of the image bowline/demo. Verbs:");
    for verb in TABLE {
        println!("  {:9} {}", verb.name, verb.usage);
    }
    if help { 0 } else { 2 }
}

fn base_name(path: &OsStr) -> String {
    let name = Path::new(path).file_name().unwrap_or(path);
    name.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(words: &[&str]) -> i32 {
        main(words.iter().map(OsString::from).collect())
    }

    #[test]
    fn the_verb_is_the_name_or_the_first_word() {
        assert_eq!(run(&["/bin/false"]), 1);
        assert_eq!(run(&["/demo", "false"]), 1);
        assert_eq!(run(&["/demo", "/bin/false"]), 1);
        assert_eq!(run(&["demo", "exit", "42"]), 42);
        assert_eq!(run(&["exit", "7"]), 7);
    }

    #[test]
    fn a_wrong_call_is_two() {
        assert_eq!(run(&["/demo", "nonsense"]), 2);
        assert_eq!(run(&["/demo"]), 0);
        assert_eq!(run(&["/demo", "exit"]), 2);
        assert_eq!(run(&["/demo", "exit", "x"]), 2);
        assert_eq!(run(&["/demo", "exit", "1", "2"]), 2);
    }

    #[test]
    fn the_guest_knows_its_names() {
        assert!(is_guest("/demo".as_ref()));
        assert!(is_guest("/bin/serve".as_ref()));
        assert!(!is_guest("/usr/bin/bowline".as_ref()));
        assert!(VERBS.is_sorted(), "the table is in order");
    }
}
