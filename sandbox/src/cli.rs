//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand};
use tallybox_client::traffic::{EXAMPLES, METRICS, Metric};
use tallybox_facilitator::config::Points;
use tallybox_model::id::AggregationId;
use tallybox_service::exit::{Exit, parse};
use tallybox_service::output::Output;

use crate::error::Error;
use crate::generate::{GenerateOptions, GenerateSummary, generate};
use crate::report::Report;
use crate::run::{DEFAULT_METRICS, RunOptions, run};

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
}

#[derive(Debug, Args)]
struct RunArgs {
    /// Packets of honest clients, over all metrics; a few hostile ones come on top
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    packets: u64,
    /// A metric to run; repeat for several. Default: four of ENPA's, of 5, 9, 20 and 48 bins
    #[arg(long = "metric", value_name = "NAME", value_parser = metric_names(), hide_possible_values = false)]
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
        Some(Command::Run(args)) => runtime
            .block_on(run_command(&args, output))
            .map(|report| output.summary(&report)),
        None => runtime
            .block_on(run_command(&cli.run, output))
            .map(|report| output.summary(&report)),
    };
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

async fn run_command(args: &RunArgs, output: Output) -> Result<Report, Error> {
    let mut names: Vec<&str> = args.metrics.iter().map(String::as_str).collect();
    if names.is_empty() {
        names = DEFAULT_METRICS.to_vec();
    }
    let known = |name: &str| {
        Metric::named(name)
            .copied()
            .ok_or_else(|| Error::Setting(format!("no metric {name}")))
    };
    let options = RunOptions {
        packets: args.packets,
        metrics: names.into_iter().map(known).collect::<Result<_, _>>()?,
        seed: args.seed,
        epsilon: args.epsilon,
    };
    let (result, kept) = match &args.dir {
        Some(directory) => (run(directory, &options, output).await, true),
        None => run_in_temporary(&options, args.keep, output).await?,
    };
    let outcome = result?;
    Ok(Report {
        outcome: crate::outcome::Outcome { kept, ..outcome },
        all_bins: args.all_bins,
    })
}

/// Runs in a directory that goes away afterwards, unless it is to stay or something is wrong with what is in it.
async fn run_in_temporary(
    options: &RunOptions,
    keep: bool,
    output: Output,
) -> Result<(Result<crate::outcome::Outcome, Error>, bool), Error> {
    let parent = std::env::temp_dir();
    let directory = tempfile::Builder::new()
        .prefix("tallybox-sandbox-")
        .tempdir_in(&parent);
    let directory = directory.map_err(Error::file(&parent))?;
    let result = run(directory.path(), options, output).await;
    let result = match result {
        Err(Error::Check(problem)) => Err(Error::Check(format!(
            "{problem} (see {})",
            keep_it(directory).display()
        ))),
        other if keep => {
            keep_it(directory);
            other
        }
        other => other,
    };
    Ok((result, keep))
}

fn keep_it(directory: tempfile::TempDir) -> PathBuf {
    directory.keep()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::path::Path;

    use clap::CommandFactory as _;

    use super::*;

    fn help(subcommand: Option<&str>) -> String {
        let mut command = Cli::command();
        let command = match subcommand {
            Some(name) => command.find_subcommand_mut(name).unwrap(),
            None => &mut command,
        };
        command.render_long_help().to_string()
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_teaches_by_example() {
        let run = help(None);
        for text in [
            "Examples:",
            "tallybox-sandbox --dir demo",
            "inspect demo/buckets/sum-first",
            "tallybox-sandbox --json --seed 1",
            "generate --packets 100000 --bins 8 --dir bench",
            "PeriodicExposureNotification-v1",
            "for tests only",
        ] {
            assert!(run.contains(text), "{text}");
        }
        assert_eq!(
            help(Some("run")).matches("tallybox-sandbox --dir demo").count(),
            1
        );
        let generate = help(Some("generate"));
        for text in [
            "generated.json",
            "Packets of each batch",
            "intake-batch",
            "--point-per-packet",
        ] {
            assert!(generate.contains(text), "{text}");
        }
    }

    /// What the examples say can be said.
    #[test]
    fn examples_parse() {
        let examples = [EXAMPLES_OF_RUN, EXAMPLES_OF_GENERATE];
        let lines = examples.iter().flat_map(|text| text.lines()).map(str::trim);
        let mut parsed = 0;
        for line in lines.filter(|line| line.starts_with("tallybox-sandbox")) {
            let words = line.split('|').next().unwrap().split_whitespace();
            Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{line}: {error}"));
            parsed += 1;
        }
        assert_eq!(parsed, 6);
    }

    #[test]
    fn nonsense_is_refused() {
        for words in [
            &["--metric", "unheardOf-v1"][..],
            &["--packets", "many"],
            &["generate", "--packets", "1", "--bins", "1"],
            &[
                "--packets",
                "10",
                "generate",
                "--packets",
                "1",
                "--bins",
                "1",
                "--dir",
                "x",
            ],
            &[
                "generate",
                "--packets",
                "1",
                "--bins",
                "1",
                "--dir",
                "x",
                "--aggregation",
                "a/b",
            ],
        ] {
            let words = ["tallybox-sandbox"].iter().chain(words);
            assert!(Cli::try_parse_from(words.clone()).is_err(), "{words:?}");
        }
        let json_first = ["tallybox-sandbox", "run", "--json", "--quiet"];
        assert!(Cli::try_parse_from(json_first).unwrap().output.json);
    }

    #[tokio::test]
    async fn the_document_for_machines_is_json() {
        let cli = Cli::try_parse_from(["tallybox-sandbox", "--packets", "36", "--json"]).unwrap();
        let report = run_command(&cli.run, cli.output).await.unwrap();
        let text = serde_json::to_string(&report).unwrap();
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["outcome"], "done");
        assert_eq!(read["honest-packets"], 36);
        assert_eq!(read["metrics"].as_array().unwrap().len(), 4);
        assert_eq!(read["metrics"][3]["sums"].as_array().unwrap().len(), 48);
        assert!(read["hostile"][0]["first"].is_string());
        assert!(
            !Path::new(read["directory"].as_str().unwrap()).exists(),
            "the temporary directory is gone"
        );
    }

    #[tokio::test]
    async fn a_directory_that_is_named_or_kept_stays() {
        let parent = tempfile::tempdir().unwrap();
        let demo = parent.path().join("demo");
        let words = [
            "tallybox-sandbox",
            "--packets",
            "36",
            "--dir",
            demo.to_str().unwrap(),
            "--quiet",
        ];
        let cli = Cli::try_parse_from(words).unwrap();
        let report = run_command(&cli.run, cli.output).await.unwrap();
        assert!(report.outcome.kept && demo.join("first.yaml").exists());
        let again = run_command(&cli.run, cli.output).await.unwrap_err();
        assert_eq!(
            (again.exit(), again.failure().reason.as_str()),
            (Exit::Usage, "directory-in-use")
        );

        let cli = Cli::try_parse_from(["tallybox-sandbox", "--packets", "36", "--keep"]).unwrap();
        let report = run_command(&cli.run, cli.output).await.unwrap();
        assert!(report.outcome.kept && report.outcome.directory.join("second.yaml").exists());
        std::fs::remove_dir_all(&report.outcome.directory).unwrap();
    }
}
