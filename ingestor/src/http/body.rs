//! Request bodies: their media type, reading within time limits, and decompression within memory
//! limits.

use std::io::Read;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use tallybox_model::report::ProblemKind;
use tallybox_service::connections::TransferRate;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::budget::Hold;
use super::refusal::Refusal;

/// Most decompressed bytes per compressed byte. [`ALWAYS_UNPACKED`] bytes are allowed in any case.
pub(super) const MAX_EXPANSION: u64 = 100;
const ALWAYS_UNPACKED: u64 = 64 << 10;
/// Decompressed bytes that are taken from the budget at a time.
const UNPACKED_AT_ONCE: u64 = 64 << 10;
/// Longest time by which a client may lag behind the required rate.
const SLOW_TIME: Duration = Duration::from_secs(5);
/// Memory of a report in addition to its bytes: its result, and its state while it waits.
pub(super) const REPORT_BYTES: u64 = 1536;
/// Limits for reading and discarding the body of a rejected request.
const DISCARD_BYTES: u64 = 1 << 20;
const DISCARD_TIME: Duration = Duration::from_secs(2);
/// Largest window of a zstd frame: 8 MiB, as RFC 8878 section 3.1.1.1.2 recommends.
const ZSTD_WINDOW_LOG: u32 = 23;

/// The media type and compression of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) media: Media,
    pub(super) packing: Packing,
}

/// The two media types of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Media {
    Json,
    Avro,
}

/// The compression of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    None,
    Gzip,
    Zstd,
}

impl Form {
    /// Reads media type and compression from the headers of a request.
    pub(super) fn from_headers(headers: &HeaderMap) -> Result<Self, Refusal> {
        Ok(Self {
            media: media(headers)?,
            packing: packing(headers)?,
        })
    }
}

fn media(headers: &HeaderMap) -> Result<Media, Refusal> {
    let text = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = text.and_then(|text| text.split(';').next()).map(str::trim);
    match essence {
        Some(essence) if essence.eq_ignore_ascii_case("application/json") => Ok(Media::Json),
        Some(essence) if essence.eq_ignore_ascii_case("avro/binary") => Ok(Media::Avro),
        _ => Err(Refusal::new(
            ProblemKind::UnsupportedMedia,
            "Content-Type has to be application/json or avro/binary",
        )),
    }
}

fn packing(headers: &HeaderMap) -> Result<Packing, Refusal> {
    let unknown = || {
        Refusal::new(
            ProblemKind::UnsupportedMedia,
            "Content-Encoding has to be gzip, zstd or identity",
        )
    };
    let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
    let Some(value) = values.next() else {
        return Ok(Packing::None);
    };
    let text = value.to_str().map_err(|_| unknown())?.trim();
    match text {
        _ if values.next().is_some() => Err(unknown()),
        _ if text.eq_ignore_ascii_case("identity") => Ok(Packing::None),
        _ if text.eq_ignore_ascii_case("gzip") => Ok(Packing::Gzip),
        _ if text.eq_ignore_ascii_case("zstd") => Ok(Packing::Zstd),
        _ => Err(unknown()),
    }
}

/// Returns the most bytes that the body can have: the announced length, or else the limit.
pub(super) fn announced(body: &Body, limit: u64) -> Result<u64, Refusal> {
    let announced = body.size_hint().exact().unwrap_or(limit);
    if announced > limit {
        return Err(too_large(limit));
    }
    Ok(announced)
}

/// Limits for the arrival of a body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// Most bytes.
    pub(super) most: u64,
    /// Longest time for the whole body.
    pub(super) time: Duration,
    /// Lowest rate. A client may lag behind it by [`SLOW_TIME`].
    pub(super) bytes_per_second: u32,
}

/// Reads a body. Its bytes are taken from the budget as they arrive. While the body is incomplete,
/// the budget may give them to other requests.
pub(super) async fn read(body: Body, terms: Terms, hold: &mut Hold) -> Result<Bytes, Refusal> {
    let cut = CancellationToken::new();
    hold.wait(cut.clone());
    let reading = timeout(terms.time, read_all(body, terms, hold));
    let slow = |_| {
        let detail = format!(
            "the body did not arrive within {} seconds; send it again",
            terms.time.as_secs()
        );
        Refusal::new(ProblemKind::SlowBody, detail)
    };
    let read = cut.run_until_cancelled(reading).await;
    let bytes = read.ok_or_else(Refusal::overloaded)?.map_err(slow)??;
    // The bytes beyond the body are for the result.
    match hold.retain(bytes.len() as u64 + REPORT_BYTES) {
        true => Ok(bytes),
        false => Err(Refusal::overloaded()),
    }
}

async fn read_all(mut body: Body, terms: Terms, hold: &mut Hold) -> Result<Bytes, Refusal> {
    let announced = body.size_hint().exact().unwrap_or(terms.most);
    let mut pace = TransferRate::new(terms.bytes_per_second, Instant::now());
    let slow = sleep_until(pace.late_at(SLOW_TIME));
    tokio::pin!(slow);
    let mut first = Bytes::new();
    let mut rest = Vec::new();
    loop {
        let frame = tokio::select! {
            biased;
            frame = body.frame() => frame,
            () = slow.as_mut() => return Err(too_slow(terms.bytes_per_second)),
        };
        let Some(frame) = frame else { break };
        let broken = |_| {
            Refusal::new(
                ProblemKind::Malformed,
                "the body is incomplete; send it again",
            )
        };
        let Ok(data) = frame.map_err(broken)?.into_data() else {
            continue;
        };
        let length = first.len() + rest.len() + data.len();
        if length as u64 > terms.most {
            return Err(too_large(terms.most));
        }
        let now = Instant::now();
        pace.moved(data.len(), now);
        slow.as_mut().reset(pace.late_at(SLOW_TIME));
        if rest.is_empty() && first.is_empty() {
            grow(hold, data.len())?;
            first = data;
            continue;
        }
        if length > rest.capacity() {
            // Growing to twice the received bytes keeps copying cheap. Growing no further than the
            // announced length keeps memory in proportion to the received bytes.
            let wanted = usize::try_from(announced)
                .unwrap_or(usize::MAX)
                .min(2 * length)
                .max(length);
            grow(hold, wanted - rest.capacity())?;
            rest.reserve_exact(wanted - rest.len());
        }
        if !first.is_empty() {
            rest.extend_from_slice(&std::mem::take(&mut first));
        }
        rest.extend_from_slice(&data);
    }
    Ok(if first.is_empty() { rest.into() } else { first })
}

fn grow(hold: &mut Hold, bytes: usize) -> Result<(), Refusal> {
    match hold.grow(bytes as u64) {
        true => Ok(()),
        false => Err(Refusal::overloaded()),
    }
}

fn too_slow(bytes_per_second: u32) -> Refusal {
    let seconds = SLOW_TIME.as_secs();
    let detail = format!(
        "the body lagged {seconds} seconds behind a rate of {bytes_per_second} bytes per second"
    );
    Refusal::new(ProblemKind::SlowBody, detail)
}

/// Reads and discards a body, within limits: if a connection is closed while its client is still
/// sending, the client does not receive the answer.
pub(super) async fn discard(mut body: Body) {
    let reading = async {
        let mut left = DISCARD_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len) as u64;
            match left.checked_sub(length) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    let _ = timeout(DISCARD_TIME, reading).await;
}

/// Returns the decompressed body, of at most `limit` bytes. Memory is added to `hold` before it is
/// allocated.
pub(super) fn unpack(
    packed: Bytes,
    packing: Packing,
    limit: u64,
    hold: &mut Hold,
) -> Result<Bytes, Refusal> {
    let most = unpacked_limit(packed.len(), limit);
    let input = &packed[..];
    let broken = |_| {
        Refusal::new(
            ProblemKind::Malformed,
            "the body cannot be decompressed; check Content-Encoding",
        )
    };
    match packing {
        Packing::None => Ok(packed),
        Packing::Gzip => unpack_from(MultiGzDecoder::new(input), most, hold),
        Packing::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input).map_err(broken)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(broken)?;
            unpack_from(decoder, most, hold)
        }
    }
}

fn unpack_from(mut decoder: impl Read, most: u64, hold: &mut Hold) -> Result<Bytes, Refusal> {
    let mut whole = Vec::new();
    loop {
        let wanted = UNPACKED_AT_ONCE.min(most - whole.len() as u64 + 1);
        if !hold.grow(wanted) {
            return Err(Refusal::overloaded());
        }
        let read = (&mut decoder).take(wanted).read_to_end(&mut whole);
        let read = read
            .map_err(|_| Refusal::new(ProblemKind::Malformed, "the body cannot be decompressed"))?;
        if whole.len() as u64 > most {
            return Err(too_much_unpacked(most));
        }
        if (read as u64) < wanted {
            return Ok(whole.into());
        }
    }
}

/// Returns the most bytes to which a compressed body may be decompressed.
pub(super) fn unpacked_limit(packed: usize, limit: u64) -> u64 {
    let by_ratio = (packed as u64).saturating_mul(MAX_EXPANSION);
    ALWAYS_UNPACKED.max(by_ratio).min(limit)
}

pub(super) fn too_much_unpacked(most: u64) -> Refusal {
    let detail = format!(
        "the body has more than {most} bytes decompressed, or more than {MAX_EXPANSION} times its size"
    );
    Refusal::new(ProblemKind::TooLarge, detail)
}

fn too_large(limit: u64) -> Refusal {
    Refusal::new(
        ProblemKind::TooLarge,
        format!("a body has at most {limit} bytes; split the body"),
    )
}
