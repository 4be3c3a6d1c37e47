//! The command `tallybox-client send`: makes and posts one report, step by step.

use std::fmt;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tallybox_model::registry::{EncodingKind, MetricEncoding};
use tallybox_model::report::json::JsonReport;
use tallybox_service::exit::Exit;
use tallybox_service::output::{Failure, Summary};

use super::server::ServerArgs;
use crate::encoding::Value;
use crate::post::{Options, PostOutcome, Reporter};

/// The options of `send`.
#[derive(Debug, Args)]
pub(super) struct SendArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// The metric
    #[arg(long, value_name = "NAME")]
    metric: String,
    /// The answer, in the metric's encoding: a bucket's number or label, bits such as 0110, a
    /// number, or GROUP:NUMBER with a group's number or name
    #[arg(long, value_name = "ANSWER")]
    value: String,
    /// Make the report without posting it
    #[arg(long)]
    dry_run: bool,
    /// Also print the body of the post
    #[arg(long)]
    body: bool,
    /// Time limit for posting, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    deadline: u64,
}

/// The steps of a report.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Steps {
    metric: String,
    bins: Vec<u8>,
    flip_probability: f64,
    sampling: f64,
    id: Option<String>,
    sealed_bytes: Option<[usize; 2]>,
    key_ids: Option<[String; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<serde_json::Value>,
    outcome: String,
}

pub(super) async fn run(args: &SendArgs) -> Result<Steps, Failure> {
    let options = Options {
        deadline: Duration::from_secs(args.deadline),
        ..Options::default()
    };
    let reporter = Reporter::new(&args.server.address, args.server.trust()?, options)?;
    let config = reporter.source().current().await?;
    let Some(metric) = config.metric(&args.metric) else {
        let problem = "not in the configuration; list its metrics with `tallybox-client config`";
        return Err(Failure::new(Exit::Usage, "metric", problem).object(&args.metric));
    };
    let usage = |problem: String| Failure::new(Exit::Usage, "value", problem);
    let value = parse_value(&metric.metric.encoding, &args.value).map_err(usage)?;
    let bits = metric
        .encoding
        .encode(&value)
        .map_err(|error| usage(error.to_string()))?;
    let mut steps = Steps {
        metric: args.metric.clone(),
        bins: bits.iter().map(|bit| u8::from(*bit)).collect(),
        flip_probability: metric.noise.flip_probability(),
        sampling: metric.metric.sampling,
        id: None,
        sealed_bytes: None,
        key_ids: None,
        body: None,
        outcome: "not sampled: this client does not report this time".to_owned(),
    };
    let Some(report) = reporter.prepare(&args.metric, &value).await? else {
        return Ok(steps);
    };
    let upload = report.upload();
    steps.id = Some(upload.id.clone());
    steps.sealed_bytes = Some(upload.payloads().map(<[u8]>::len));
    steps.key_ids = Some(upload.key_ids().map(str::to_owned));
    if args.body {
        steps.body = serde_json::to_value(JsonReport::from(upload.clone())).ok();
    }
    if args.dry_run {
        "made, but not posted".clone_into(&mut steps.outcome);
        return Ok(steps);
    }
    steps.outcome = outcome_text(reporter.send(report).await)?;
    Ok(steps)
}

fn outcome_text(outcome: PostOutcome) -> Result<String, Failure> {
    match outcome {
        PostOutcome::Accepted => {
            Ok("accepted: the report is durable and will be counted".to_owned())
        }
        PostOutcome::AlreadyAccepted => {
            Ok("already accepted: an earlier response was lost".to_owned())
        }
        PostOutcome::NotSampled => Ok("not sampled".to_owned()),
        PostOutcome::Dropped(problem) => {
            let message = format!("{}: {}; {}", problem.title, problem.detail, problem.next);
            Err(Failure::new(Exit::Rejected, problem.kind, message))
        }
        PostOutcome::TryLater { cause, .. } => Err(Failure::new(Exit::Retry, "later", cause)),
    }
}

/// Parses an answer in the metric's encoding.
fn parse_value(encoding: &MetricEncoding, text: &str) -> Result<Value, String> {
    match encoding.kind {
        EncodingKind::Histogram => {
            let bucket = position(&encoding.labels, text);
            Ok(Value::Bucket(
                bucket.ok_or("not the number or label of a bucket")?,
            ))
        }
        EncodingKind::BitVector => {
            let bit = |digit| match digit {
                '0' => Ok(false),
                '1' => Ok(true),
                _ => Err("not a sequence of 0 and 1".to_owned()),
            };
            text.chars()
                .map(bit)
                .collect::<Result<_, _>>()
                .map(Value::Bits)
        }
        EncodingKind::BoundedInteger => parse_integer(text).map(Value::Integer),
        EncodingKind::GroupedInteger => {
            let (group, integer) = text.rsplit_once(':').ok_or("not a GROUP:NUMBER")?;
            let group = position(&encoding.groups, group);
            Ok(Value::Grouped {
                group: group.ok_or("not the number or name of a group")?,
                integer: parse_integer(integer)?,
            })
        }
    }
}

/// Returns the position of a name in a list, which can also be given as a number.
fn position(names: &[String], text: &str) -> Option<usize> {
    let named = names.iter().position(|name| name == text);
    named.or_else(|| text.parse().ok())
}

fn parse_integer(text: &str) -> Result<u64, String> {
    let parsed = text.parse();
    parsed.map_err(|_| "not a number of 0 or more".to_owned())
}

impl Summary for Steps {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bins: String = self.bins.iter().map(u8::to_string).collect();
        writeln!(f, "metric      {}", self.metric)?;
        writeln!(f, "bins        {bins}")?;
        writeln!(
            f,
            "noise       each bin is flipped with probability {:.3e}; the bins that were sent are never shown",
            self.flip_probability
        )?;
        if let (Some(id), Some([first, second]), Some([first_key, second_key])) =
            (&self.id, self.sealed_bytes, &self.key_ids)
        {
            writeln!(f, "report      {id}")?;
            writeln!(f, "for First   {first} bytes, sealed to key {first_key}")?;
            writeln!(f, "for Second  {second} bytes, sealed to key {second_key}")?;
        }
        if let Some(body) = &self.body {
            writeln!(f, "body        {body}")?;
        }
        write!(f, "outcome     {}", self.outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::Encoding;

    #[test]
    fn a_group_is_named_or_numbered() {
        let mut encoding = MetricEncoding::from(Encoding::GroupedInteger { groups: 2, bits: 8 });
        encoding.groups = vec!["women".to_owned(), "men: all".to_owned()];
        let value = |group, integer| Ok(Value::Grouped { group, integer });
        assert_eq!(parse_value(&encoding, "women:35"), value(0, 35));
        assert_eq!(parse_value(&encoding, "men: all:7"), value(1, 7));
        assert_eq!(parse_value(&encoding, "1:7"), value(1, 7));
        for bad in ["35", "children:3", "women:", "women:-1"] {
            assert!(parse_value(&encoding, bad).is_err(), "{bad}");
        }
    }
}
