//! Metrics of every program: `build_info`, and the operating system's figures for the process
//! (`process_*`, with the names that Prometheus client libraries use).

use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};

use crate::version::{Build, COMMIT, VERSION};

/// Clock ticks per second in `/proc`: a constant of the kernel interface on all common platforms.
const TICKS_PER_SECOND: f64 = 100.0;

/// Creates a metric with the value 0, and registers it.
pub fn register<M: Metric + Clone + Default>(
    registry: &mut Registry,
    name: &'static str,
    help: &'static str,
) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

/// Returns the metrics that every program has.
pub(crate) fn registry(build: &Build) -> Registry {
    let mut registry = Registry::default();
    let labels = vec![
        ("program", build.program.to_owned()),
        ("version", VERSION.to_owned()),
        ("commit", COMMIT.to_owned()),
        ("features", build.features()),
    ];
    registry.register(
        "build",
        "Version, commit and features of the program",
        Info::new(labels),
    );
    registry.register_collector(Box::new(ProcessCollector));
    registry
}

/// A collector that reads the process's figures from `/proc` on every scrape. Missing figures are
/// left out.
#[derive(Debug)]
struct ProcessCollector;

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let mut add = |name, help, metric: &dyn Encode| metric.add(&mut encoder, name, help);
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        if let Some(seconds) = cpu_seconds(&stat) {
            let help = "CPU time, user and system, in seconds";
            add("process_cpu_seconds", help, &ConstCounter::new(seconds))?;
        }
        if let Some(start) =
            start_seconds(&stat, &fs::read_to_string("/proc/stat").unwrap_or_default())
        {
            let help = "Start time of the process, in seconds since 1970";
            add("process_start_time_seconds", help, &ConstGauge::new(start))?;
        }
        for (name, help, field, factor) in [
            (
                "process_resident_memory_bytes",
                "Resident memory",
                "VmRSS:",
                1024,
            ),
            (
                "process_virtual_memory_bytes",
                "Virtual address space",
                "VmSize:",
                1024,
            ),
            ("process_threads", "Threads", "Threads:", 1),
        ] {
            if let Some(count) = status_field(&status, field) {
                add(name, help, &ConstGauge::new(count * factor))?;
            }
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            let open = i64::try_from(open.count()).unwrap_or(i64::MAX);
            add("process_open_fds", "Open files", &ConstGauge::new(open))?;
        }
        if let Some(most) = most_files() {
            add(
                "process_max_fds",
                "Limit of open files",
                &ConstGauge::new(most),
            )?;
        }
        Ok(())
    }
}

/// A metric of any type, encoded with its descriptor.
trait Encode {
    fn add(
        &self,
        encoder: &mut DescriptorEncoder,
        name: &str,
        help: &str,
    ) -> Result<(), std::fmt::Error>;
}

impl<M: EncodeMetric> Encode for M {
    fn add(
        &self,
        encoder: &mut DescriptorEncoder,
        name: &str,
        help: &str,
    ) -> Result<(), std::fmt::Error> {
        self.encode(encoder.encode_descriptor(name, help, None, self.metric_type())?)
    }
}

/// Reads a field of `/proc/self/stat` by its number in proc(5). The second field, the process name,
/// may contain spaces, so fields are counted from its closing parenthesis.
fn stat_field(stat: &str, number: usize) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    // proc(5) counts fields from 1; the first two end at the parenthesis.
    rest.split_whitespace()
        .nth(number.checked_sub(3)?)?
        .parse()
        .ok()
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    Some((stat_field(stat, 14)? + stat_field(stat, 15)?) / TICKS_PER_SECOND)
}

/// Returns the start time of the process: the boot time plus the ticks from boot to start.
fn start_seconds(stat: &str, machine: &str) -> Option<f64> {
    let booted = machine
        .lines()
        .find_map(|line| line.strip_prefix("btime "))?;
    Some(booted.trim().parse::<f64>().ok()? + stat_field(stat, 22)? / TICKS_PER_SECOND)
}

fn status_field(status: &str, field: &str) -> Option<i64> {
    let value = status.lines().find_map(|line| line.strip_prefix(field))?;
    value.split_whitespace().next()?.parse().ok()
}

#[cfg(target_os = "linux")]
fn most_files() -> Option<i64> {
    use rustix::process::{Resource, getrlimit};
    i64::try_from(getrlimit(Resource::Nofile).current?).ok()
}

#[cfg(not(target_os = "linux"))]
fn most_files() -> Option<i64> {
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use prometheus_client::encoding::text;

    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_counts_itself() {
        let mut out = String::new();
        text::encode(&mut out, &registry(&Build::new("x", &[("cloud", true)]))).unwrap();
        let value = |name: &str| {
            let line = out
                .lines()
                .find_map(|line| line.strip_prefix(&format!("{name} ")));
            line.unwrap_or_else(|| panic!("{name} in {out}"))
                .parse::<f64>()
                .unwrap()
        };
        let now = std::time::SystemTime::now();
        let now = now
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs_f64();
        assert!(
            (0.0..3600.0).contains(&(now - value("process_start_time_seconds"))),
            "{out}"
        );
        assert!(value("process_resident_memory_bytes") > 100_000.0, "{out}");
        assert!(
            value("process_virtual_memory_bytes") >= value("process_resident_memory_bytes"),
            "{out}"
        );
        assert!(
            value("process_cpu_seconds_total") >= 0.0 && value("process_threads") >= 1.0,
            "{out}"
        );
        assert!(
            value("process_max_fds") >= value("process_open_fds"),
            "{out}"
        );
        let info = format!(
            r#"build_info{{program="x",version="{VERSION}",commit="{COMMIT}",features="cloud"}} 1"#
        );
        assert!(out.contains(&info), "{out}");
    }

    #[test]
    fn a_name_with_brackets_hides_no_field() {
        let stat = "7 (a) b) S 1 7 7 0 -1 0 0 0 0 0 150 50 0 0 20 0 4 0 1000 9 9";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(start_seconds(stat, "cpu 1\nbtime 500\n"), Some(510.0));
        assert_eq!(cpu_seconds(""), None);
    }
}
