//! Files that are read again when they change: the registry, and the certificates.

use std::sync::Arc;
use std::time::Duration;

use tallybox_service::cause::chain;
use tallybox_service::shutdown::Reload;
use tokio::time::{MissedTickBehavior, interval};

use super::App;
use super::tls::Certificates;

/// How often is looked.
const EVERY: Duration = Duration::from_secs(3);

/// Watches the registry: every few seconds, and at once on SIGHUP.
pub(super) async fn registry(app: Arc<App>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut hangup = Reload::on_hangup();
    let mut said = None;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = hangup.asked() => {
                said = None;
                tracing::info!("asked to read the registry again");
            }
        }
        let reloading = Arc::clone(&app);
        let outcome = tokio::task::spawn_blocking(move || reloading.reload_registry()).await;
        match outcome {
            Ok(Ok(_)) | Err(_) => said = None,
            Ok(Err(error)) => {
                // The same fault is said once.
                let text = error.to_string();
                if said.as_ref() != Some(&text) {
                    app.metrics.registry_failures.inc();
                    let error = chain(&error);
                    tracing::error!(error, "registry cannot be read; the old one stays in force");
                    said = Some(text);
                }
            }
        }
    }
}

/// Watches the certificates.
pub(super) async fn certificates(app: Arc<App>, certificates: Certificates) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut known = certificates.stamp();
    loop {
        ticks.tick().await;
        let now = certificates.stamp();
        if now == known {
            continue;
        }
        match certificates.reload().await {
            Ok(()) => {
                known = now;
                tracing::info!("certificates reloaded");
            }
            // Certificate and key are rarely written at once: the next look may find both.
            Err(error) => {
                app.metrics.certificate_failures.inc();
                let error = chain(&error);
                tracing::error!(error, "certificates cannot be read; the old ones stay in force");
            }
        }
    }
}
