//! The command line.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand};
use tallybox_client::traffic::{EXAMPLES, METRICS, Metric};
use tallybox_facilitator::config::Points;
use tallybox_model::id::AggregationId;
use tallybox_service::clock::{Clock, Pace};
use tallybox_service::exit::{Exit, parse};
use tallybox_service::output::Output;
use tallybox_service::shutdown;

use crate::always::RATE;
use crate::attestation::{Attestation, Demand};
use crate::error::Error;
use crate::generate::{GenerateOptions, GenerateSummary, generate};
use crate::outcome::Outcome;
use crate::report::Report;
use crate::roles::RoleArgs;
use crate::run::{DEFAULT_METRICS, RunOptions, run};
use crate::serve::{ServeOptions, Serving, Time, Unfriendly, Verdict};

/// Every role of Tallybox in one process, on local directories: the quick start.
///
/// Clients randomise, split and seal their answers; an ingestor signs batches of them; two processors that do not
/// trust each other check and add their shares; a portal adds the two sums. All of it runs here, with fresh keys, and
/// with a few hostile packets in the mix. At the end the program checks itself: the sums have to be those of the bits
/// that were shared.
#[derive(Debug, Parser)]
#[command(name = "tallybox-sandbox", version, args_conflicts_with_subcommands = true, after_help = EXAMPLES_OF_RUN)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    output: Output,
}

/// Packets of a run that names no number.
const PACKETS: u64 = 10_000;

const EXAMPLES_OF_RUN: &str = "\
Examples:
  tallybox-sandbox
      10,000 clients, four metrics, in a temporary directory
  tallybox-sandbox --metric CodeVerified-v1 --metric exampleMinutes-v1 --epsilon 2
      two metrics, with so much noise that the estimates show it
  tallybox-sandbox --dir demo
      keep everything: demo/first.yaml is a configuration for `facilitator`
  facilitator --config demo/first.yaml inspect demo/buckets/sum-first/sandbox-ingestor/…
      then look at what was written, signature included
  tallybox-sandbox --serve
      stay up, with clients that report all the time, on a clock on which a second is ten minutes;
      post to it, too, and ask what became of each report
  tallybox-sandbox --serve --chaos --for 60
      the same while its processes are killed: does every report still count once?
  tallybox-sandbox --json --seed 1 | jq '.metrics[0].sums'
      the same numbers every time, for scripts
  tallybox-sandbox generate --packets 100000 --bins 8 --dir bench
      big valid batches, to time `facilitator` with";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run every role once and show what came out (what happens without a command, too)
    #[command(after_help = EXAMPLES_OF_RUN)]
    Run(RunArgs),
    /// Only write ingestion batches of valid packets, with keys and configurations, to time the programs with
    #[command(after_help = EXAMPLES_OF_GENERATE)]
    Generate(GenerateArgs),
    /// One program of a sandbox that stays up: what a sandbox starts itself as
    #[command(hide = true)]
    Role(RoleArgs),
}

#[derive(Debug, Args)]
struct RunArgs {
    /// Packets of honest clients, over all metrics; a few hostile ones come on top. Default: 10000. With --serve,
    /// honest packets that are posted at the start; default: none
    #[arg(long, value_name = "N")]
    packets: Option<u64>,
    /// A metric to run; repeat for several. Default: four of ENPA's, of 5, 9, 20 and 48 bins
    #[arg(long = "metric", value_name = "NAME", value_parser = metric_names())]
    metrics: Vec<String>,
    /// Noise of every metric: a bit lies with probability 1/(1+e^E). Default: each metric's own, which is 8
    #[arg(long, value_name = "E")]
    epsilon: Option<f64>,
    /// A new or empty directory to run in, which stays. Default: a temporary one
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Leave the temporary directory there and say where it is
    #[arg(long)]
    keep: bool,
    /// Make keys and packets from this number, the same every time: for tests only, since the number gives away every
    /// key
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Show every bin of long metrics, not only the largest
    #[arg(long)]
    all_bins: bool,
    /// Stay up instead, as a staging server for client developers: post reports, then ask what became of each
    #[arg(long)]
    serve: bool,
    /// With --serve: where clients post
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080", requires = "serve")]
    listen: SocketAddr,
    /// With --serve: where they ask what became of a report
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8082", requires = "serve")]
    debug_listen: SocketAddr,
    /// With --serve: reports a second that it posts to itself, some of them hostile. Default: 10, and 40 with --chaos, and
    /// 0 with --unfriendly or --attestation
    #[arg(long, value_name = "N", requires = "serve")]
    traffic: Option<f64>,
    /// With --serve: every program is a process of its own, and every few seconds one of them is killed (SIGKILL);
    /// buckets and queues delay, fail, and deliver twice and in any order. At the end it says whether every
    /// acknowledged report counts once
    #[arg(long, requires = "serve")]
    chaos: bool,
    /// With --serve: one request of four meets this; repeat for several, which take turns. The sandbox posts nothing
    /// itself then
    #[arg(long, value_name = "KIND", requires = "serve", value_enum)]
    unfriendly: Vec<Unfriendly>,
    /// With --serve: look at attestations. Without --verifier anybody can make them, with a key that nothing vouches for.
    /// The sandbox posts nothing itself then
    #[arg(long, value_name = "POLICY", requires = "serve", value_enum)]
    attestation: Option<Demand>,
    /// With --attestation: the section `verifier` of an ingestor's locality, such as `android: ...`; paths in it are
    /// absolute
    #[arg(long, value_name = "FILE", requires = "attestation")]
    verifier: Option<PathBuf>,
    /// With --serve: take no new reports after so many seconds, let those that are there come to their sums, and end with a
    /// verdict
    #[arg(long = "for", value_name = "SECONDS", requires = "serve")]
    lasting: Option<u64>,
}

const EXAMPLES_OF_GENERATE: &str = "\
The directory then holds
  first.yaml, second.yaml   configurations of both processors, with relative paths
  generated.json            aggregation, window, batches, and the true sums
  keys/                     all keys, made from the seed: for benches only
  buckets/ingestion-ROLE    the signed batches; the other buckets are empty

Example:
  tallybox-sandbox generate --packets 100000 --bins 8 --dir bench
  facilitator --config bench/first.yaml intake-batch --aggregation fakeMetric-v1 \\
      --date \"$(jq -r '.batches[0].date' bench/generated.json)\" \\
      --batch \"$(jq -r '.batches[0].id' bench/generated.json)\"

A million packets of 8 bins take about a minute and a half on two cores, and half a gigabyte.";

#[derive(Debug, Args)]
struct GenerateArgs {
    /// Packets of each batch; all are valid
    #[arg(long, value_name = "N")]
    packets: u64,
    /// Bins of each packet, each a fair coin
    #[arg(long, value_name = "B")]
    bins: usize,
    /// A new or empty directory
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// All keys and packets follow from this number: the same number, the same bytes
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Batches of so many packets each, spread over one window of eight hours
    #[arg(long, value_name = "K", default_value_t = 1)]
    batches: u64,
    /// Draw an evaluation point for each packet, as ENPA's ingestors do, not one for all
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

/// Reads the command line, does what it says, and answers the exit code.
pub fn main() -> ExitCode {
    tallybox_service::process::protect_memory();
    match parse::<Cli>() {
        Ok(cli) => execute(cli).into(),
        Err(exit) => exit.into(),
    }
}

fn execute(cli: Cli) -> Exit {
    let output = cli.output;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return output.failure(&Error::Internal(format!("no threads: {error}")).failure()),
    };
    let written = match cli.command {
        Some(Command::Generate(args)) => runtime
            .block_on(generate_command(&args, output))
            .map(|summary| output.summary(&summary)),
        Some(Command::Role(args)) => runtime.block_on(args.run()).map(Ok),
        Some(Command::Run(args)) if args.serve => return serve(&runtime, &args, output),
        None if cli.run.serve => return serve(&runtime, &cli.run, output),
        Some(Command::Run(args)) => runtime
            .block_on(run_command(&args, output))
            .map(|report| output.summary(&report)),
        None => runtime
            .block_on(run_command(&cli.run, output))
            .map(|report| output.summary(&report)),
    };
    // An interrupted run does not wait for what it has begun.
    runtime.shutdown_background();
    match written {
        Ok(Ok(())) => Exit::Done,
        Ok(Err(source)) => output.failure(
            &Error::File {
                path: "stdout".into(),
                source,
            }
            .failure(),
        ),
        Err(error) => output.failure(&error.failure()),
    }
}

/// Serves, and says at the end whether all was well.
fn serve(runtime: &tokio::runtime::Runtime, args: &RunArgs, output: Output) -> Exit {
    match runtime.block_on(serve_command(args, output)) {
        Ok(None) => Exit::Done,
        Ok(Some(verdict)) => match output.summary(&verdict) {
            Ok(()) if verdict.good => Exit::Done,
            Ok(()) => Exit::Rejected,
            Err(source) => output.failure(&Error::file("stdout")(source).failure()),
        },
        Err(error) => output.failure(&error.failure()),
    }
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

/// Reports a second that the sandbox posts to itself.
fn default_traffic(args: &RunArgs) -> f64 {
    match args.unfriendly.is_empty() && args.attestation.is_none() {
        true if args.chaos => 40.0,
        true => 10.0,
        false => 0.0,
    }
}

async fn serve_command(args: &RunArgs, output: Output) -> Result<Option<Verdict>, Error> {
    let shutdown = shutdown::on_signal();
    let options = ServeOptions {
        metrics: metrics(args)?,
        epsilon: args.epsilon,
        listen: args.listen,
        debug_listen: args.debug_listen,
        seed: args.seed,
        time: Time::Pace(Pace::from_now(Clock::system().millis(), RATE)),
        packets: args.packets.unwrap_or(0),
        traffic: args.traffic.unwrap_or(default_traffic(args)),
        chaos: args.chaos,
        unfriendly: args.unfriendly.clone(),
        attestation: args.attestation.map(|demand| Attestation {
            demand,
            verifier: args.verifier.clone(),
        }),
        lasting: args.lasting.map(Duration::from_secs),
    };
    let own_client = !args.unfriendly.is_empty() || args.attestation.is_some();
    if own_client && (args.chaos || options.traffic > 0.0 || options.packets > 0) {
        let problem =
            "--unfriendly and --attestation are for your own client: leave out --chaos, --traffic and --packets";
        return Err(Error::Setting(problem.to_owned()));
    }
    if !options.traffic.is_finite() || options.traffic < 0.0 || options.traffic > 10_000.0 {
        return Err(Error::Setting("--traffic has to be 0 to 10000".to_owned()));
    }
    let serve = async |root: &Path| {
        Serving::start(root, &options, output)
            .await?
            .run(&options, shutdown)
            .await
    };
    match &args.dir {
        Some(directory) => serve(directory).await,
        None => {
            let parent = std::env::temp_dir();
            let directory = tempfile::Builder::new().prefix("tallybox-sandbox-").tempdir_in(&parent);
            let directory = directory.map_err(Error::file(&parent))?;
            let served = serve(directory.path()).await;
            // What is wrong can only be found out from what is there.
            if args.keep || matches!(&served, Ok(Some(verdict)) if !verdict.good) {
                let kept = directory.keep();
                if !output.json {
                    println!("everything is in {}", kept.display());
                }
            }
            served
        }
    }
}

/// The metrics asked for, or those of a run that names none.
fn metrics(args: &RunArgs) -> Result<Vec<Metric>, Error> {
    let mut names: Vec<&str> = args.metrics.iter().map(String::as_str).collect();
    if names.is_empty() {
        names = DEFAULT_METRICS.to_vec();
    }
    let known = |name: &str| {
        let metric = Metric::named(name).copied();
        metric.ok_or_else(|| Error::Setting(format!("no metric {name}")))
    };
    names.into_iter().map(known).collect()
}

async fn run_command(args: &RunArgs, output: Output) -> Result<Report, Error> {
    let options = RunOptions {
        packets: args.packets.unwrap_or(PACKETS),
        metrics: metrics(args)?,
        seed: args.seed,
        epsilon: args.epsilon,
    };
    let (outcome, kept) = match &args.dir {
        Some(directory) => (run(directory, &options, output).await?, true),
        None => (run_in_temporary(&options, args.keep, output).await?, args.keep),
    };
    Ok(Report {
        outcome: Outcome { kept, ..outcome },
        all_bins: args.all_bins,
    })
}

/// Runs in a directory that goes away afterwards, unless it is to stay or something is wrong with what is in it.
async fn run_in_temporary(options: &RunOptions, keep: bool, output: Output) -> Result<Outcome, Error> {
    let parent = std::env::temp_dir();
    let directory = tempfile::Builder::new().prefix("tallybox-sandbox-").tempdir_in(&parent);
    let directory = directory.map_err(Error::file(&parent))?;
    let result = tokio::select! {
        result = run(directory.path(), options, output) => result,
        _ = tokio::signal::ctrl_c() => Err(Error::Interrupted),
    };
    match result {
        Err(Error::Check(problem)) => {
            let kept = directory.keep();
            Err(Error::Check(format!("{problem} (see {})", kept.display())))
        }
        result => {
            if keep {
                let _ = directory.keep();
            }
            result
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
