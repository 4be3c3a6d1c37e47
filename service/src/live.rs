//! A block of lines that is redrawn in place, on a terminal only.
use indicatif::{ProgressBar, ProgressStyle};

use crate::output::Output;
use crate::progress::bars;

/// Lines at the bottom of the terminal, below all other output. Nothing is drawn without a
/// terminal, with `--json` or with `--quiet`.
#[derive(Debug)]
pub struct Live {
    bar: ProgressBar,
}

impl Live {
    /// Creates an empty block on stderr.
    #[must_use]
    pub fn new(output: &Output) -> Self {
        if output.json || output.quiet {
            return Self {
                bar: ProgressBar::hidden(),
            };
        }
        let bar = bars().add(ProgressBar::no_length());
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            bar.set_style(style);
        }
        Self { bar }
    }

    /// Returns whether the block is visible.
    #[must_use]
    pub fn is_seen(&self) -> bool {
        !self.bar.is_hidden()
    }

    /// Replaces the lines.
    pub fn draw(&self, lines: String) {
        self.bar.set_message(lines);
    }

    /// Writes to stdout above the block. The output has to end with a newline.
    pub fn above(&self, write: impl FnOnce()) {
        bars().suspend(write);
    }

    /// Stops drawing and leaves the last lines on the terminal.
    pub fn leave(&self) {
        self.bar.abandon();
        bars().remove(&self.bar);
    }

    /// Removes the lines from the terminal.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
        bars().remove(&self.bar);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_drawn_for_machines() {
        let live = Live::new(&Output::new(true));
        live.draw("one\ntwo".to_owned());
        let mut written = false;
        live.above(|| written = true);
        assert!(written && !live.is_seen());
        live.clear();
        live.leave();
    }
}
