//! `stats`: what containers use of the machine.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use bowline_api::{ContainerSummary, CpuStats, Stats as Sample};
use bowline_client::Client;
use clap::Args;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use serde_json::json;
use tokio::sync::mpsc;

use super::containers::{self, Labelled as _, short};
use super::context::{Context, Session};
use super::format::{Format, Json, Listing};
use super::signals::Interrupts;
use crate::apply::{self, Notice, Watch};
use crate::ui::{Outcome, significant_bytes};

/// See the module.
#[derive(Args, Clone, Debug)]
pub(super) struct Stats {
    /// Services; all if none is named
    services: Vec<String>,
    /// Containers that do not run, too
    #[arg(short, long)]
    all: bool,
    /// `table`, `json` (an object a line), or a Go template
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "table",
        hide_default_value = true
    )]
    format: Format,
    /// One look instead of one each second
    #[arg(long)]
    no_stream: bool,
    /// Whole ids
    #[arg(long)]
    no_trunc: bool,
}

/// A container's last sample, if it has one.
struct Seen {
    container: ContainerSummary,
    sample: Option<Sample>,
}

type Board = BTreeMap<String, Seen>;

impl Stats {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let session = context.session(&[]).await?;
        session.scope.check(&session.observed, &self.services)?;
        if self.no_stream {
            let found = self.list(&session).await?;
            let looks = found.into_iter().map(async |container| {
                // Engines answer for what does not run, too, with nothing but zeros.
                let sample = session.client.container_stats(&container.id).await.ok();
                let sample = sample.filter(|_| container.state == "running");
                (container.id.clone(), Seen { container, sample })
            });
            let board: Board = join_all(looks).await.into_iter().collect();
            self.listing(&board)
                .print(context.ui, &self.format, Json::Lines)?;
            return Ok(0);
        }
        let mut interrupts = Interrupts::catch()?;
        tokio::select! {
            shown = Box::pin(self.follow(context, &session)) => shown.map(|()| 0),
            _ = interrupts.next() => Ok(130),
        }
    }

    async fn list(&self, session: &Session) -> Outcome<Vec<ContainerSummary>> {
        containers::list(
            &session.client,
            &session.scope.name,
            self.all,
            &self.services,
        )
        .await
    }

    /// Goes on for ever: containers that start later are followed, those that end leave.
    async fn follow(&self, context: &Context, session: &Session) -> Outcome<()> {
        let filter = apply::project_filter(&session.scope.name).with("type", "container");
        let watch = Watch::open(&session.client, filter).await?;
        let mut notices = watch.subscribe();
        let (sender, mut samples) = mpsc::channel(64);
        let mut board = Board::new();
        self.refresh(session, &mut board, &sender).await?;
        // The first samples come at once, so the first picture is not an empty one.
        let mut clock = tokio::time::interval(Duration::from_secs(1));
        clock.reset_after(Duration::from_millis(300));
        let mut screen = Screen::new();
        loop {
            tokio::select! {
                told = samples.recv() => {
                    if let Some((id, sample)) = told && let Some(seen) = board.get_mut(&id) {
                        seen.sample = Some(sample);
                    }
                }
                notice = notices.recv() => {
                    let relevant = match &notice {
                        Ok(Notice::Event(event)) => {
                            matches!(event.action.as_str(), "start" | "die" | "destroy" | "create")
                        }
                        _ => true,
                    };
                    if relevant {
                        self.refresh(session, &mut board, &sender).await?;
                    }
                }
                _ = clock.tick() => {
                    let text = self.listing(&board).render(&self.format, Json::Lines)?;
                    if !screen.show(context, &text) {
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn refresh(
        &self,
        session: &Session,
        board: &mut Board,
        sender: &mpsc::Sender<(String, Sample)>,
    ) -> Outcome<()> {
        let found = self.list(session).await?;
        board.retain(|id, _| found.iter().any(|container| container.id == *id));
        for container in found {
            let id = container.id.clone();
            let runs = container.state == "running";
            let known = board.get(&id).map(|seen| seen.container.state == "running");
            let sample = board
                .remove(&id)
                .and_then(|seen| seen.sample)
                .filter(|_| runs);
            board.insert(id.clone(), Seen { container, sample });
            if runs && known != Some(true) {
                tokio::spawn(listen(session.client.clone(), id, sender.clone()));
            }
        }
        Ok(())
    }

    fn listing(&self, board: &Board) -> Listing {
        let mut listing = Listing::new(&[
            "CONTAINER ID",
            "NAME",
            "CPU %",
            "MEM USAGE / LIMIT",
            "MEM %",
            "NET I/O",
            "BLOCK I/O",
            "PIDS",
        ]);
        let mut rows: Vec<&Seen> = board.values().collect();
        rows.sort_by_key(|seen| {
            (
                seen.container.service(),
                seen.container.number(),
                seen.container.name(),
            )
        });
        for seen in rows {
            let figures = seen.sample.as_ref().map_or_else(Figures::none, Figures::of);
            let id = match self.no_trunc {
                true => seen.container.id.clone(),
                false => short(&seen.container.id).to_owned(),
            };
            let name = seen.container.name().to_owned();
            let object = json!({
                "BlockIO": figures.block, "CPUPerc": figures.cpu, "Container": seen.container.id, "ID": id,
                "MemPerc": figures.share, "MemUsage": figures.memory, "Name": name, "NetIO": figures.network,
                "PIDs": figures.pids, "Service": seen.container.service(),
            });
            let Figures {
                cpu,
                memory,
                share,
                network,
                block,
                pids,
            } = figures;
            listing.row(
                object,
                vec![id, name, cpu, memory, share, network, block, pids],
            );
        }
        listing
    }
}

/// Hands on a container's samples until it ends.
async fn listen(client: Client, id: String, sender: mpsc::Sender<(String, Sample)>) {
    let Ok(mut stream) = client.container_stats_stream(&id).await else {
        return;
    };
    while let Some(Ok(sample)) = stream.next().await {
        if sender.send((id.clone(), sample)).await.is_err() {
            return;
        }
    }
}

/// What one row says.
#[derive(Debug, PartialEq, Eq)]
struct Figures {
    cpu: String,
    memory: String,
    share: String,
    network: String,
    block: String,
    pids: String,
}

impl Figures {
    fn none() -> Self {
        let pair = || "-- / --".to_owned();
        Self {
            cpu: "--".into(),
            memory: pair(),
            share: "--".into(),
            network: pair(),
            block: pair(),
            pids: "--".into(),
        }
    }

    fn of(sample: &Sample) -> Self {
        let memory = &sample.memory_stats;
        // What the kernel could drop at once is not counted, as Docker's client has it.
        let cache = ["total_inactive_file", "inactive_file"]
            .iter()
            .find_map(|key| memory.stats.get(*key));
        let used = memory.usage.saturating_sub(cache.copied().unwrap_or(0));
        let networks = || sample.networks.values();
        let received: u64 = networks().map(|one| one.rx_bytes).sum();
        let sent: u64 = networks().map(|one| one.tx_bytes).sum();
        let moved = |op: &str| -> u64 {
            let entries = sample.blkio_stats.io_service_bytes_recursive.iter();
            entries
                .filter(|entry| entry.op.eq_ignore_ascii_case(op))
                .map(|entry| entry.value)
                .sum()
        };
        let decimal = |count| significant_bytes(count, 1000, 3);
        let binary = |count| significant_bytes(count, 1024, 4);
        Self {
            cpu: percent(load(&sample.precpu_stats, &sample.cpu_stats)),
            memory: format!("{} / {}", binary(used), binary(memory.limit)),
            share: percent(share(used, memory.limit)),
            network: format!("{} / {}", decimal(received), decimal(sent)),
            block: format!("{} / {}", decimal(moved("read")), decimal(moved("write"))),
            pids: sample.pids_stats.current.unwrap_or(0).to_string(),
        }
    }
}

fn percent(hundredths: u64) -> String {
    format!("{}.{:02}%", hundredths / 100, hundredths % 100)
}

/// Hundredths of a percent.
fn share(part: u64, whole: u64) -> u64 {
    let scaled = u128::from(part) * 10_000 / u128::from(whole.max(1));
    match whole {
        0 => 0,
        _ => u64::try_from(scaled).unwrap_or(u64::MAX),
    }
}

/// Hundredths of a percent of one processor.
fn load(before: &CpuStats, now: &CpuStats) -> u64 {
    let spent = now
        .cpu_usage
        .total_usage
        .saturating_sub(before.cpu_usage.total_usage);
    let passed = now.system_cpu_usage.saturating_sub(before.system_cpu_usage);
    if before.system_cpu_usage == 0 {
        return 0;
    }
    share(spent, passed).saturating_mul(u64::from(now.online_cpus.max(1)))
}

/// Pictures one over the other on a terminal, one after the other elsewhere.
struct Screen {
    terminal: bool,
    drawn: usize,
}

impl Screen {
    fn new() -> Self {
        Self {
            terminal: std::io::stdout().is_terminal(),
            drawn: 0,
        }
    }

    /// Whether somebody still reads.
    fn show(&mut self, context: &Context, text: &str) -> bool {
        if !self.terminal {
            return text.is_empty() || context.ui.try_line(text);
        }
        let (rows, columns) = crate::terminal::size().unwrap_or((24, 80));
        let (rows, columns) = (usize::from(rows).max(2), usize::from(columns));
        let mut out = String::new();
        if self.drawn > 0 {
            out.push_str(&format!("\u{1b}[{}A", self.drawn));
        }
        let lines: Vec<&str> = text.lines().take(rows - 1).collect();
        for line in &lines {
            let line: String = line.chars().take(columns).collect();
            out.push_str(&format!("\r{line}\u{1b}[K\n"));
        }
        out.push_str("\u{1b}[0J");
        self.drawn = lines.len();
        let mut stdout = std::io::stdout().lock();
        stdout
            .write_all(out.as_bytes())
            .and_then(|()| stdout.flush())
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use bowline_api::{BlkioEntry, NetworkStats};

    use super::*;

    #[test]
    fn load_is_the_share_of_the_time_that_passed() {
        let at = |spent: u64, passed: u64| {
            let mut stats = CpuStats {
                system_cpu_usage: passed,
                online_cpus: 2,
                ..CpuStats::default()
            };
            stats.cpu_usage.total_usage = spent;
            stats
        };
        assert_eq!(load(&at(100, 1000), &at(350, 2000)), 5000);
        // Without a sample before there is nothing to compare with.
        assert_eq!(load(&at(0, 0), &at(350, 2000)), 0);
        assert_eq!(load(&at(100, 1000), &at(100, 1000)), 0);
    }

    #[test]
    fn a_row_reads_as_dockers() {
        let mut sample = Sample::default();
        sample.memory_stats.usage = 2 << 20;
        sample.memory_stats.limit = 1 << 30;
        sample
            .memory_stats
            .stats
            .insert("inactive_file".into(), 1 << 20);
        let network = NetworkStats {
            rx_bytes: 1220,
            tx_bytes: 126,
            ..NetworkStats::default()
        };
        sample.networks.insert("eth0".into(), network);
        let entry = BlkioEntry {
            op: "Read".into(),
            value: 4_096_000,
            ..BlkioEntry::default()
        };
        sample.blkio_stats.io_service_bytes_recursive.push(entry);
        sample.pids_stats.current = Some(2);
        let figures = Figures::of(&sample);
        assert_eq!(figures.memory, "1MiB / 1GiB");
        assert_eq!(figures.share, "0.09%");
        assert_eq!(figures.network, "1.22kB / 126B");
        assert_eq!(figures.block, "4.1MB / 0B");
        assert_eq!(
            (figures.cpu.as_str(), figures.pids.as_str()),
            ("0.00%", "2")
        );
    }
}
