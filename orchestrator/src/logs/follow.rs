//! Following logs while they grow.
//!
//! A task for each container reads its stream, and takes it up again where it was when the stream
//! ends although the container lives: then the engine was replaced. Lines of different containers
//! meet in a window of a few milliseconds and leave it in the order of time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bowline_api::WaitCondition;
use bowline_client::{Client, LogsOptions};
use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Cursor, Line, Printer, Source, Splitter};

/// How long a line waits for an older one of another container.
const WINDOW: Duration = Duration::from_millis(20);
/// So many lines leave the window at once.
const FULL: usize = 4096;

/// What a container's task tells.
#[derive(Debug)]
enum Told {
    Line(usize, Line),
    Ended(usize, Cursor),
}

/// What [`Follower::next`] returns.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Following {
    /// Lines were printed.
    Printed,
    /// The log of the container with this id has ended, and with it the container's run.
    Ended(String),
}

/// Follows any number of containers.
#[derive(Debug)]
pub(crate) struct Follower {
    client: Client,
    printer: Printer,
    sources: Vec<Source>,
    /// Where logs that are not followed just now stand, by container id.
    cursors: BTreeMap<String, Cursor>,
    live: BTreeSet<usize>,
    tasks: JoinSet<()>,
    sender: mpsc::Sender<Told>,
    receiver: mpsc::Receiver<Told>,
    waiting: Vec<(usize, Line)>,
    due: Option<Instant>,
}

impl Follower {
    /// A follower without containers yet.
    pub(crate) fn new(client: Client, printer: Printer) -> Self {
        let (sender, receiver) = mpsc::channel(1024);
        Self {
            client,
            printer,
            sources: Vec::new(),
            cursors: BTreeMap::new(),
            live: BTreeSet::new(),
            tasks: JoinSet::new(),
            sender,
            receiver,
            waiting: Vec::new(),
            due: None,
        }
    }

    /// Follows a container from `cursor` on, or from where it was left; once only at a time.
    pub(crate) fn follow(
        &mut self,
        source: Source,
        cursor: Option<Cursor>,
        since: Option<String>,
        tail: Option<u64>,
    ) {
        let known = self.sources.iter().position(|other| other.id == source.id);
        let index = known.unwrap_or_else(|| {
            self.sources.push(source.clone());
            self.sources.len() - 1
        });
        if !self.live.insert(index) {
            return;
        }
        let cursor = self
            .cursors
            .remove(&source.id)
            .or(cursor)
            .unwrap_or_default();
        let reader = Reader {
            client: self.client.clone(),
            id: source.id,
            index,
            cursor,
            since,
            tail,
            sender: self.sender.clone(),
        };
        self.tasks.spawn(reader.run());
    }

    /// How many containers there were so far; the next one's place in the order of colours.
    pub(crate) fn count(&self) -> usize {
        self.sources.len()
    }

    /// The container with this id, if it was followed.
    pub(crate) fn source(&self, id: &str) -> Option<&Source> {
        self.sources.iter().find(|source| source.id == id)
    }

    /// Whether a log is being followed.
    pub(crate) fn is_live(&self) -> bool {
        !self.live.is_empty()
    }

    /// Waits for the next lines and prints them; for ever where nothing is followed. May be dropped at
    /// any await without a loss.
    pub(crate) async fn next(&mut self) -> Following {
        loop {
            let due = self.due;
            let told = tokio::select! {
                biased;
                told = self.receiver.recv() => told,
                () = sleep_until(due) => {
                    self.print_waiting();
                    return Following::Printed;
                }
            };
            match told {
                Some(Told::Line(index, line)) => {
                    self.waiting.push((index, line));
                    self.due.get_or_insert_with(|| Instant::now() + WINDOW);
                    if self.waiting.len() >= FULL {
                        self.print_waiting();
                    }
                }
                Some(Told::Ended(index, cursor)) => {
                    self.live.remove(&index);
                    let id = self.sources[index].id.clone();
                    self.cursors.insert(id.clone(), cursor);
                    self.print_waiting();
                    return Following::Ended(id);
                }
                // We hold a sender ourselves, so the channel stays open.
                None => std::future::pending().await,
            }
        }
    }

    /// Prints what has arrived, then a word of our own about a container.
    pub(crate) fn remark(&mut self, id: &str, text: &str) {
        self.print_waiting();
        if let Some(source) = self.sources.iter().find(|source| source.id == id) {
            self.printer.remark(source, text);
        }
    }

    fn print_waiting(&mut self) {
        self.due = None;
        self.waiting.sort_by(|(_, a), (_, b)| a.time.cmp(&b.time));
        for (index, line) in self.waiting.drain(..) {
            self.printer.print(&self.sources[index], &line);
        }
        self.printer.flush();
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Reads one container's log to its end.
struct Reader {
    client: Client,
    id: String,
    index: usize,
    cursor: Cursor,
    since: Option<String>,
    tail: Option<u64>,
    sender: mpsc::Sender<Told>,
}

/// What the engine says about a container whose log is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    Runs,
    Over,
    Gone,
    /// The engine is away.
    Unknown,
}

/// Whether the container's logging driver keeps nothing that could be read.
fn is_unreadable(error: &bowline_client::Error) -> bool {
    const NOT_IMPLEMENTED: u16 = 501;
    matches!(
        error,
        bowline_client::Error::Api {
            status: NOT_IMPLEMENTED,
            ..
        }
    )
}

impl Reader {
    async fn run(mut self) {
        let mut pause = Duration::from_millis(20);
        loop {
            let life = self.life().await;
            let began = Instant::now();
            let read = self.read(life != Life::Over).await;
            // A container that had ended before this read began has nothing more to say after it.
            if life == Life::Gone || read && life == Life::Over {
                break;
            }
            // An engine that is away, or a container between two restarts, answers at once.
            if !read || began.elapsed() < Duration::from_millis(50) {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(1));
            } else {
                pause = Duration::from_millis(20);
            }
        }
        let _nobody = self.sender.send(Told::Ended(self.index, self.cursor)).await;
    }

    async fn life(&self) -> Life {
        match self.client.container_inspect(&self.id).await {
            Ok(seen) if seen.state.running || seen.state.restarting => Life::Runs,
            Ok(_) => Life::Over,
            Err(error) if error.is_not_found() => Life::Gone,
            Err(_) => Life::Unknown,
        }
    }

    /// Reads from where we are. Returns whether the engine answered.
    async fn read(&mut self, follow: bool) -> bool {
        let resumed = self.cursor.since();
        let options = LogsOptions {
            follow,
            timestamps: true,
            tail: if resumed.is_some() { None } else { self.tail },
            since: resumed.or_else(|| self.since.clone()),
            ..LogsOptions::default()
        };
        self.cursor.resume();
        let mut stream = match self.client.container_logs(&self.id, &options).await {
            Ok(stream) => stream,
            Err(error) if is_unreadable(&error) => return self.outlive().await,
            Err(_) => return false,
        };
        let mut splitter = Splitter::default();
        while let Some(chunk) = stream.next().await {
            // Cut off: what is missing comes with the next read.
            let Ok(chunk) = chunk else { return follow };
            if !self.tell(splitter.push(&chunk)).await {
                return true;
            }
        }
        // The rest of a line may be there because the stream was cut: it comes again, whole, next time.
        if !follow {
            self.tell(splitter.finish()).await;
        }
        true
    }

    /// Waits for the end of a container that keeps no log. Returns whether the engine answered.
    async fn outlive(&self) -> bool {
        let waiting = self
            .client
            .container_wait(&self.id, WaitCondition::NotRunning);
        match waiting.await {
            Ok(waiting) => waiting.exit().await.is_ok(),
            Err(_) => false,
        }
    }

    async fn tell(&mut self, lines: Vec<Line>) -> bool {
        for line in lines {
            if self.cursor.pass(&line)
                && self
                    .sender
                    .send(Told::Line(self.index, line))
                    .await
                    .is_err()
            {
                return false;
            }
        }
        true
    }
}
