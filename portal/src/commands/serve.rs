//! The command `portal serve`: the web pages.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tallybox_model::cause::chain;
use tallybox_service::clock::Clock;
use tallybox_service::exit::Exit;
use tallybox_service::operations::Operations;
use tallybox_service::output::Summary;
use tallybox_service::progress::Progress;
use tallybox_service::shell::GlobalOptions;
use tallybox_service::shutdown;

use crate::collect::{CollectOptions, SumCollector};
use crate::config::Config;
use crate::demo;
use crate::error::Error;
use crate::store::Store;
use crate::web::{PageSource, Site, SiteOptions, Stored, router};

/// Serve the web pages, and collect sum parts
///
/// The pages need no script and make no request to another server. The first line of stdout is the
/// address. SIGTERM and Ctrl-C end the command.
///
/// The command shows the results of the database in the configuration, and does the work of `portal
/// collect` every `collect-minutes`. Everyone who can reach the address can read the pages: put a
/// server that asks for a password in front of it, unless the numbers are public.
#[derive(Debug, Args)]
pub(super) struct ServeCommand {
    /// Show generated data that looks like a real deployment's, without a configuration. Each page
    /// says that it is a demonstration
    #[arg(long)]
    demo: bool,
    /// The address to listen on; port 0 takes a free port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
}

/// The first line of stdout.
#[derive(Debug, Serialize)]
struct Started {
    url: String,
}

impl Summary for Started {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

/// What the pages show, and the work beside them.
struct Content {
    source: Arc<dyn PageSource>,
    minimum: u64,
    collecting: Option<(SumCollector, Duration)>,
}

impl ServeCommand {
    pub(super) async fn run(&self, options: &GlobalOptions) -> Result<Exit, Error> {
        let clock = Clock::system();
        let content = if self.demo {
            Content {
                source: Arc::new(demo::generate(clock.millis())?),
                minimum: demo::MINIMUM,
                collecting: None,
            }
        } else {
            open(options, &clock).await?
        };
        let cannot_listen = |source| Error::Listen {
            address: self.listen,
            source,
        };
        let server = Operations::bind(self.listen).await.map_err(cannot_listen)?;
        let address = server.address().map_err(cannot_listen)?;
        let stop = shutdown::on_signal();
        options.print(&Started {
            url: format!("http://{address}/"),
        })?;
        let about = SiteOptions {
            name: "Tallybox portal".to_owned(),
            demo: self.demo,
            minimum: content.minimum,
        };
        let pages = router(Site::new(content.source, clock, about));
        // An interrupted collection is continued by the next one.
        tokio::select! {
            () = server.run(pages, stop) => {}
            () = collect_regularly(content.collecting) => {}
        }
        Ok(Exit::Done)
    }
}

/// Opens the store and the mailboxes of the configuration.
async fn open(options: &GlobalOptions, clock: &Clock) -> Result<Content, Error> {
    let config = Config::load(options.config_file()?)?;
    let store = Store::open(&config.value.database.url(&config.directory)?).await?;
    let collector = SumCollector::open(&config, store.clone(), clock.clone())?;
    let minutes = u64::from(config.value.collect_minutes);
    Ok(Content {
        source: Arc::new(Stored::open(&config, store)?),
        minimum: config.value.minimum,
        collecting: (minutes > 0).then(|| (collector, Duration::from_secs(60 * minutes))),
    })
}

/// Collects sum parts at intervals, and never returns. A failure is logged, and the next run tries
/// again.
async fn collect_regularly(collecting: Option<(SumCollector, Duration)>) {
    let Some((collector, interval)) = collecting else {
        return std::future::pending().await;
    };
    loop {
        let options = CollectOptions {
            all: false,
            recheck: false,
        };
        match collector.run(options, &Progress::hidden()).await {
            Ok(collected) if collected.exit() == Exit::Done => {}
            Ok(collected) => tracing::warn!(
                failed = collected.failed,
                findings = collected.new_findings,
                "sum parts were not all collected; the findings are on the pages"
            ),
            Err(error) => tracing::error!(
                error = chain(&error),
                "sum parts cannot be collected; the next run tries again"
            ),
        }
        tokio::time::sleep(interval).await;
    }
}
