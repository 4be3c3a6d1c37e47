//! A progress bar for work on packets: bytes and packets per second, drawn only on a terminal.
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// Returns all progress bars of the process, so that other output can hide them while it writes.
pub(crate) fn bars() -> &'static MultiProgress {
    static BARS: OnceLock<MultiProgress> = OnceLock::new();
    // Redraws stderr up to eight times a second. indicatif draws nothing if stderr is not a
    // terminal.
    BARS.get_or_init(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(8)))
}

/// Counts packets and bytes of a run, and displays them. Clones share the same counters and may be
/// used from any thread.
#[derive(Clone, Debug)]
pub struct Progress {
    bar: ProgressBar,
    packets: Arc<AtomicU64>,
}

impl Progress {
    /// Creates a bar on stderr over `total_bytes`, or without a known end. Without a terminal, the
    /// bar only counts. Programs use [`crate::output::Output::progress`] instead, which respects
    /// `--json` and `--quiet`.
    pub fn packets(total_bytes: Option<u64>, label: &str) -> Self {
        let progress = Self::on(bars().add(ProgressBar::no_length()), total_bytes, label);
        // Updates the elapsed time and the rates while one large chunk is processed.
        if !progress.bar.is_hidden() {
            progress.bar.enable_steady_tick(Duration::from_millis(250));
        }
        progress
    }

    /// Creates a bar that counts but is not displayed.
    pub fn hidden() -> Self {
        Self {
            bar: ProgressBar::hidden(),
            packets: Arc::default(),
        }
    }

    fn on(bar: ProgressBar, total_bytes: Option<u64>, label: &str) -> Self {
        let packets = Arc::<AtomicU64>::default();
        bar.set_style(style(total_bytes.is_some(), Arc::clone(&packets)));
        if let Some(total) = total_bytes {
            bar.set_length(total);
        }
        bar.set_message(label.to_owned());
        Self { bar, packets }
    }

    /// Adds the packets and input bytes processed since the last call.
    pub fn advance(&self, packets: u64, bytes: u64) {
        self.packets.fetch_add(packets, Ordering::Relaxed);
        self.bar.inc(bytes);
    }

    /// Returns the packets so far.
    pub fn count(&self) -> u64 {
        self.packets.load(Ordering::Relaxed)
    }

    /// Returns the bytes so far.
    pub fn bytes(&self) -> u64 {
        self.bar.position()
    }

    /// Removes the bar from the terminal, because the summary that follows contains the same
    /// figures. May be called again.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
        bars().remove(&self.bar);
    }
}

fn style(known_length: bool, packets: Arc<AtomicU64>) -> ProgressStyle {
    let template = if known_length {
        "{msg} {wide_bar} {percent:>3}%  {packets}  {eta} left"
    } else {
        "{spinner} {msg}  {packets}  {bytes}"
    };
    // Both templates are constants that a test parses. The fallback changes only the appearance.
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("█▉▊▋▌▍▎▏ ")
        .with_key(
            "packets",
            move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                let count = packets.load(Ordering::Relaxed);
                let _ = out.write_str(&rate(count, state.elapsed()));
            },
        )
}

/// Formats a count as `12,000 packets, 4,000/s`; the rate is the mean since the start.
fn rate(count: u64, elapsed: Duration) -> String {
    let mut text = format!("{} packets", grouped(count));
    if let Some(per_second) = (u128::from(count) * 1000).checked_div(elapsed.as_millis()) {
        let _ = write!(
            text,
            ", {}/s",
            grouped(u64::try_from(per_second).unwrap_or(u64::MAX))
        );
    }
    text
}

/// Formats a number with a comma at each thousand.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::thread;

    use indicatif::TermLike;

    use super::*;

    /// A terminal that records what is drawn.
    #[derive(Clone, Debug, Default)]
    struct Screen(Arc<std::sync::Mutex<String>>);

    impl TermLike for Screen {
        fn width(&self) -> u16 {
            120
        }
        fn move_cursor_up(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> std::io::Result<()> {
            self.write_str(text)
        }
        fn write_str(&self, text: &str) -> std::io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }
        fn clear_line(&self) -> std::io::Result<()> {
            Ok(())
        }
        fn flush(&self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn drawn(total: Option<u64>) -> String {
        let screen = Screen::default();
        let target = ProgressDrawTarget::term_like(Box::new(screen.clone()));
        let progress = Progress::on(ProgressBar::with_draw_target(None, target), total, "intake");
        progress.advance(1500, 512);
        progress.bar.tick();
        let text = screen.0.lock().unwrap().clone();
        progress.finish();
        text
    }

    #[test]
    fn a_known_length_shows_how_far_it_is() {
        let text = drawn(Some(1024));
        assert!(
            text.contains("intake") && text.contains("50%") && text.contains("1,500 packets"),
            "{text}"
        );
    }

    #[test]
    fn an_unknown_length_shows_what_is_done() {
        let text = drawn(None);
        assert!(
            text.contains("intake") && text.contains("512 B") && !text.contains('%'),
            "{text}"
        );
    }

    #[test]
    fn threads_count_into_one_run() {
        for progress in [Progress::hidden(), Progress::packets(Some(8000), "intake")] {
            thread::scope(|scope| {
                for _ in 0..8 {
                    let progress = progress.clone();
                    scope.spawn(move || (0..100).for_each(|_| progress.advance(1, 10)));
                }
            });
            assert_eq!((progress.count(), progress.bytes()), (800, 8000));
            progress.finish();
            progress.finish();
        }
    }

    #[test]
    fn numbers_and_rates_are_readable() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(grouped(u64::MAX), "18,446,744,073,709,551,615");
        assert_eq!(rate(10, Duration::ZERO), "10 packets");
        assert_eq!(
            rate(3_000, Duration::from_millis(1500)),
            "3,000 packets, 2,000/s"
        );
    }
}
