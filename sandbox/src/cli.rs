//! Command line of `tallybox-sandbox`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand};
use tallybox_client::traffic::{EXAMPLES, METRICS, Metric};
use tallybox_facilitator::config::Points;
use tallybox_model::id::AggregationId;
use tallybox_service::clock::{Clock, Pace};
use tallybox_service::exit::{Exit, parse};
use tallybox_service::output::{Output, Summary};
use tallybox_service::shutdown;

use crate::always::CLOCK_RATE;
use crate::attestation::{AttestationOptions, Demand};
use crate::error::Error;
use crate::generate::{GenerateOptions, GenerateSummary, generate};
use crate::outcome::RunOutcome;
use crate::report::RunReport;
use crate::roles::RoleArgs;
use crate::run::{DEFAULT_METRICS, RunOptions, run};
use crate::serve::{FinalReport, ServeOptions, Serving, Time, Unfriendly};

/// Runs every role of Tallybox in one process, on local directories: the quick start
///
/// Clients randomise, split and encrypt their answers; an ingestor signs batches of them; two
/// processors that do not trust each other verify and add the shares; a portal adds the two sum
/// parts. The run uses fresh keys and includes some hostile packets. At the end the program checks
/// itself: every sum must equal the sum of the bits that the clients shared.
#[derive(Debug, Parser)]
#[command(name = "tallybox-sandbox", version, args_conflicts_with_subcommands = true, after_help = EXAMPLES_OF_RUN)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    output: Output,
}

/// Number of honest packets if `--packets` is absent.
const DEFAULT_PACKETS: u64 = 10_000;

const EXAMPLES_OF_RUN: &str = "\
Examples:
  tallybox-sandbox
      10,000 clients, four metrics, in a temporary directory
  tallybox-sandbox --metric CodeVerified-v1 --metric exampleMinutes-v1 --epsilon 2
      two metrics, with enough noise to see it in the estimates
  tallybox-sandbox --dir demo
      keep all files: demo/first.yaml is a configuration for `facilitator`
  facilitator --config demo/first.yaml inspect demo/buckets/sum-first/sandbox-ingestor/…
      inspect a file that was written, including its signature
  tallybox-sandbox --serve
      keep running, with clients that report continuously; one second of real time is ten
      minutes on its clock; post your own reports and query the status of each
  tallybox-sandbox --serve --chaos --for 60
      the same while its processes are killed: is every report still counted exactly once?
  tallybox-sandbox --json --seed 1 | jq '.metrics[0].sums'
      reproducible numbers, for scripts
  tallybox-sandbox generate --packets 100000 --bins 8 --dir bench
      large valid batches, to benchmark `facilitator`";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run every role once and print the result (the default without a command)
    #[command(after_help = EXAMPLES_OF_RUN)]
    Run(RunArgs),
    /// Write ingestion batches of valid packets, with keys and configurations, for benchmarks
    #[command(after_help = EXAMPLES_OF_GENERATE)]
    Generate(GenerateArgs),
    /// Run one program of a long-running sandbox (the sandbox starts its child processes with this
    /// command)
    #[command(hide = true)]
    Role(RoleArgs),
}

#[derive(Debug, Args)]
struct RunArgs {
    /// Number of honest packets, over all metrics; some hostile packets are added. Default: 10000.
    /// With --serve: number of honest packets posted at the start; default: none
    #[arg(long, value_name = "N")]
    packets: Option<u64>,
    /// Metric to run; repeat the option for several. Default: four of ENPA's metrics, of 5, 9, 20
    /// and 48 bins
    #[arg(long = "metric", value_name = "NAME", value_parser = metric_names())]
    metrics: Vec<String>,
    /// Epsilon of the randomised response for every metric: each bit is flipped with probability
    /// 1/(1+e^E). Default: the epsilon of each metric, which is 8
    #[arg(long, value_name = "E")]
    epsilon: Option<f64>,
    /// New or empty directory for the run; it is kept afterwards. Default: a temporary directory
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Keep the temporary directory and print its path
    #[arg(long)]
    keep: bool,
    /// Derive keys and packets from this number, so that runs are reproducible. For tests only: the
    /// number reveals every key
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Show every bin of long metrics instead of the largest ones
    #[arg(long)]
    all_bins: bool,
    /// Keep running, as a staging server for client developers: post reports, then query the status
    /// of each
    #[arg(long)]
    serve: bool,
    /// With --serve: address on which the ingestor accepts reports
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8080",
        requires = "serve"
    )]
    listen: SocketAddr,
    /// With --serve: address of the debug pages, which show the status of each report
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8082",
        requires = "serve"
    )]
    debug_listen: SocketAddr,
    /// With --serve: reports per second that the sandbox posts to itself, some of them hostile.
    /// Default: 10; 40 with --chaos; 0 with --unfriendly or --attestation
    #[arg(long, value_name = "N", requires = "serve")]
    traffic: Option<f64>,
    /// With --serve: run every program as a child process and kill one of them (SIGKILL) every few
    /// seconds; make buckets and queues slow and unreliable, with messages delivered twice and out
    /// of order. At the end the sandbox reports whether every acknowledged report is counted
    /// exactly once
    #[arg(long, requires = "serve")]
    chaos: bool,
    /// With --serve: answer one request in four in this unfriendly manner; repeat the option for
    /// several kinds, which are used in turn. The sandbox then posts no reports itself
    #[arg(long, value_name = "KIND", requires = "serve", value_enum)]
    unfriendly: Vec<Unfriendly>,
    /// With --serve: check attestations. Without --verifier any client can create them, with a key
    /// that nothing certifies. The sandbox then posts no reports itself
    #[arg(long, value_name = "POLICY", requires = "serve", value_enum)]
    attestation: Option<Demand>,
    /// With --attestation: file with the `verifier` section of an ingestor's locality, such as
    /// `android: ...`; paths in it must be absolute
    #[arg(long, value_name = "FILE", requires = "attestation")]
    verifier: Option<PathBuf>,
    /// With --serve: stop posting new reports after this number of seconds, wait until the stored
    /// ones are summed, print the result of the final check, and exit
    #[arg(long = "for", value_name = "SECONDS", requires = "serve")]
    lasting: Option<u64>,
}

const EXAMPLES_OF_GENERATE: &str = "\
The directory then contains
  first.yaml, second.yaml   configurations of both processors, with relative paths
  generated.json            aggregation, window, batches, and the true sums
  keys/                     all keys, derived from the seed: for benchmarks only
  buckets/ingestion-ROLE    the signed batches; the other buckets are empty

Example:
  tallybox-sandbox generate --packets 100000 --bins 8 --dir bench
  facilitator --config bench/first.yaml intake-batch --aggregation fakeMetric-v1 \\
      --date \"$(jq -r '.batches[0].date' bench/generated.json)\" \\
      --batch \"$(jq -r '.batches[0].id' bench/generated.json)\"

A million packets of 8 bins take about 90 seconds on two cores and half a gigabyte of disk space.";

#[derive(Debug, Args)]
struct GenerateArgs {
    /// Packets per batch; all are valid
    #[arg(long, value_name = "N")]
    packets: u64,
    /// Bins per packet; each bin is 0 or 1 with equal probability
    #[arg(long, value_name = "B")]
    bins: usize,
    /// New or empty directory
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Seed of all keys and packets: the same seed gives the same bytes
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Number of batches, spread over one window of eight hours
    #[arg(long, value_name = "K", default_value_t = 1)]
    batches: u64,
    /// Draw one evaluation point per packet, as ENPA's ingestors do, instead of one for all packets
    #[arg(long)]
    point_per_packet: bool,
    /// Name of the aggregation
    #[arg(long, value_name = "NAME", default_value = "fakeMetric-v1")]
    aggregation: AggregationId,
}

fn metric_names() -> PossibleValuesParser {
    METRICS
        .iter()
        .chain(EXAMPLES)
        .map(|metric| metric.name)
        .collect::<Vec<_>>()
        .into()
}

/// Parses the command line, executes it, and returns the exit code.
pub fn main() -> ExitCode {
    tallybox_service::process::protect_memory();
    match parse::<Arguments>() {
        Ok(cli) => execute(cli).into(),
        Err(exit) => exit.into(),
    }
}

fn execute(cli: Arguments) -> Exit {
    let output = cli.output;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let problem = format!("the async runtime cannot be started: {error}");
            return output.failure(&Error::Internal(problem).failure());
        }
    };
    let command = cli.command.unwrap_or(Command::Run(cli.run));
    let done = runtime.block_on(run_program(command, output));
    // The runtime is not joined: after an interrupt, its tasks need not finish.
    runtime.shutdown_background();
    done.unwrap_or_else(|error| output.failure(&error.failure()))
}

async fn run_program(command: Command, output: Output) -> Result<Exit, Error> {
    match command {
        Command::Generate(args) => print(output, &generate_command(&args, output).await?),
        Command::Role(args) => args.run().await.map(|()| Exit::Done),
        Command::Run(args) if args.serve => match serve_command(&args, output).await? {
            None => Ok(Exit::Done),
            Some(report) => {
                let printed = print(output, &report)?;
                Ok(if report.good { printed } else { Exit::Rejected })
            }
        },
        Command::Run(args) => print(output, &run_command(&args, output).await?),
    }
}

fn print(output: Output, summary: &impl Summary) -> Result<Exit, Error> {
    let printed = output.summary(summary);
    printed.map(|()| Exit::Done).map_err(Error::file("stdout"))
}

async fn generate_command(args: &GenerateArgs, output: Output) -> Result<GenerateSummary, Error> {
    let options = GenerateOptions {
        packets: args.packets,
        batches: args.batches,
        bins: args.bins,
        seed: args.seed,
        points: if args.point_per_packet {
            Points::PerPacket
        } else {
            Points::Pinned
        },
        aggregation: args.aggregation.clone(),
    };
    generate(&args.dir, &options, output).await
}

/// Returns the number of reports per second that the sandbox posts to itself if `--traffic` is
/// absent.
fn default_traffic(args: &RunArgs) -> f64 {
    match args.unfriendly.is_empty() && args.attestation.is_none() {
        true if args.chaos => 40.0,
        true => 10.0,
        false => 0.0,
    }
}

async fn serve_command(args: &RunArgs, output: Output) -> Result<Option<FinalReport>, Error> {
    let shutdown = shutdown::on_signal();
    let options = ServeOptions {
        metrics: metrics(args)?,
        epsilon: args.epsilon,
        listen: args.listen,
        debug_listen: Some(args.debug_listen),
        seed: args.seed,
        time: Time::Pace(Pace::from_now(Clock::system().millis(), CLOCK_RATE)),
        packets: args.packets.unwrap_or(0),
        traffic: args.traffic.unwrap_or(default_traffic(args)),
        chaos: args.chaos,
        unfriendly: args.unfriendly.clone(),
        attestation: args.attestation.map(|demand| AttestationOptions {
            demand,
            verifier: args.verifier.clone(),
        }),
        lasting: args.lasting.map(Duration::from_secs),
    };
    let own_client = !args.unfriendly.is_empty() || args.attestation.is_some();
    if own_client && (args.chaos || options.traffic > 0.0 || options.packets > 0) {
        let problem = "--unfriendly and --attestation cannot be combined with --chaos, --traffic or --packets";
        return Err(Error::Setting(problem.to_owned()));
    }
    if !options.traffic.is_finite() || options.traffic < 0.0 || options.traffic > 10_000.0 {
        return Err(Error::Setting(
            "--traffic must be between 0 and 10000".to_owned(),
        ));
    }
    let directory = Directory::open(args)?;
    let serving = Serving::start(&directory.path, &options, output).await?;
    let served = serving.run(&options, shutdown).await;
    // After a failed check the directory is kept: it is needed to find the cause.
    if args.keep || matches!(&served, Ok(Some(report)) if !report.good) {
        if directory.temporary.is_some() && !output.json {
            println!("all files are in {}", directory.path.display());
        }
        directory.keep();
    }
    served
}

/// Returns the metrics of the command line, or the default ones.
fn metrics(args: &RunArgs) -> Result<Vec<Metric>, Error> {
    let mut names: Vec<&str> = args.metrics.iter().map(String::as_str).collect();
    if names.is_empty() {
        names = DEFAULT_METRICS.to_vec();
    }
    let find_metric = |name: &str| {
        let metric = Metric::named(name).copied();
        metric.ok_or_else(|| {
            Error::Setting(format!("unknown metric {name}; --help lists the metrics"))
        })
    };
    names.into_iter().map(find_metric).collect()
}

async fn run_command(args: &RunArgs, output: Output) -> Result<RunReport, Error> {
    let options = RunOptions {
        packets: args.packets.unwrap_or(DEFAULT_PACKETS),
        metrics: metrics(args)?,
        seed: args.seed,
        epsilon: args.epsilon,
    };
    let directory = Directory::open(args)?;
    let is_temporary = directory.temporary.is_some();
    let result = tokio::select! {
        result = run(&directory.path, &options, output) => result,
        _ = tokio::signal::ctrl_c(), if is_temporary => Err(Error::Interrupted),
    };
    let path = directory.path.clone();
    if args.keep || matches!(result, Err(Error::Check(_))) {
        directory.keep();
    }
    let outcome = result.map_err(|error| match error {
        Error::Check(problem) => Error::Check(format!("{problem} (see {})", path.display())),
        error => error,
    })?;
    let kept = args.keep || !is_temporary;
    Ok(RunReport {
        outcome: RunOutcome { kept, ..outcome },
        all_bins: args.all_bins,
    })
}

/// The directory of a sandbox: the one of `--dir`, or a temporary one, which is removed at the end
/// unless it is kept.
struct Directory {
    path: PathBuf,
    temporary: Option<tempfile::TempDir>,
}

impl Directory {
    fn open(args: &RunArgs) -> Result<Self, Error> {
        if let Some(path) = args.dir.clone() {
            let temporary = None;
            return Ok(Self { path, temporary });
        }
        let parent = std::env::temp_dir();
        let created = tempfile::Builder::new()
            .prefix("tallybox-sandbox-")
            .tempdir_in(&parent);
        let temporary = created.map_err(Error::file(&parent))?;
        Ok(Self {
            path: temporary.path().to_owned(),
            temporary: Some(temporary),
        })
    }

    fn keep(self) {
        let _ = self.temporary.map(tempfile::TempDir::keep);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
