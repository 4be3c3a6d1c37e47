//! Readiness and metrics for operators.

use tallybox_service::operations::{Operable, Readiness};
use tallybox_service::version::Build;

use super::App;
use crate::build::BUILD;

impl Operable for App {
    fn build(&self) -> Build {
        BUILD
    }

    fn readiness(&self) -> Readiness {
        let mut readiness = Readiness::default();
        let Readiness { reasons, warnings } = &mut readiness;
        if self.is_draining() {
            reasons.push("draining".to_owned());
        }
        reasons.extend(self.reach.reasons());
        for (locality, service) in &self.localities {
            let state = service.collector.state();
            if state.failing {
                reasons.push(format!("{locality}: the last slab could not be written"));
            }
            if state.blind {
                reasons.push(format!(
                    "{locality}: the plans in the spool have not been listed yet"
                ));
            }
            if state.clock_behind {
                warnings.push(format!(
                    "{locality}: the clock is behind the newest plan in the spool"
                ));
            }
        }
        readiness
    }

    fn metrics(&self) -> String {
        self.metrics.text()
    }
}
