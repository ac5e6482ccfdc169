//! Signals, without handlers: as pid 1 a process gets no signal it has no handler for, unless the
//! signal is blocked; blocked ones are kept by the kernel, and one thread waits for them.

use std::sync::mpsc;
use std::thread;

use nix::sys::signal::{SigSet, Signal};

use crate::words::{Fault, OrFail, Outcome, Words};

const ENDING: [Signal; 4] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGHUP,
];

/// Runs `work` until it ends or a signal asks for the end, which is then a good end: exit code 0.
///
/// Has to be called before any other thread exists, for threads inherit what is blocked.
pub(crate) fn until_asked(work: impl FnOnce() -> Outcome + Send + 'static) -> Outcome {
    let signals: SigSet = ENDING.into_iter().collect();
    signals.thread_block().or_fail("cannot block signals")?;
    let (ended, end) = mpsc::channel();
    let asked = ended.clone();
    // Either thread may be alone in the world by the time it reports: then nobody needs to know.
    thread::spawn(move || drop(ended.send(work())));
    thread::spawn(move || {
        let waited = signals.wait().or_fail("cannot wait for signals");
        drop(asked.send(waited.map(|_| 0)));
    });
    end.recv().unwrap_or(Ok(1))
}

/// `trap`: prints the name of every signal that comes.
pub(crate) fn trap(mut words: Words) -> Outcome {
    let mut ignored = Vec::new();
    while let Some(name) = words.option("--ignore")? {
        ignored.push(signal(&name)?);
    }
    words.end()?;
    let mut caught = SigSet::all();
    // Those of a fault cannot be waited for: the fault would come again at once.
    let faults = [
        Signal::SIGSEGV,
        Signal::SIGBUS,
        Signal::SIGILL,
        Signal::SIGFPE,
    ];
    faults.into_iter().for_each(|fault| caught.remove(fault));
    caught.thread_block().or_fail("cannot block signals")?;
    println!("waiting for signals as pid {}", std::process::id());
    loop {
        let signal = caught.wait().or_fail("cannot wait for signals")?;
        println!("{}", signal.as_str());
        if ENDING[..3].contains(&signal) && !ignored.contains(&signal) {
            return Ok(0);
        }
    }
}

fn signal(name: &str) -> Result<Signal, Fault> {
    let full = match name.starts_with("SIG") {
        true => name.to_owned(),
        false => format!("SIG{name}"),
    };
    full.parse()
        .map_err(|_| Fault::Usage(format!("no signal `{name}`")))
}
