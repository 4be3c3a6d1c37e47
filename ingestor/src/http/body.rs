//! Bodies: which kind they are of, read in time, unpacked within bounds.

use std::io::Read;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use tallybox_model::report::ProblemKind;
use tokio::time::timeout;

use super::budget::Hold;
use super::refusal::Refusal;

/// Unpacked bytes for a packed one, at most; and so many are always allowed.
const MOST_EXPANSION: u64 = 100;
const ALWAYS_UNPACKED: u64 = 64 << 10;
/// Unpacked bytes that the budget is asked for at a time.
const UNPACKED_AT_ONCE: u64 = 64 << 10;
/// How much of a body that nobody wants is read away, and for how long.
const DISCARD_BYTES: u64 = 1 << 20;
const DISCARD_TIME: Duration = Duration::from_secs(2);
/// The largest window of a zstd frame is 8 MiB, as RFC 8878 section 3.1.1.1.2 recommends.
const ZSTD_WINDOW_LOG: u32 = 23;

/// What a body is.
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

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    None,
    Gzip,
    Zstd,
}

impl Form {
    /// What the head of a request says that its body is.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        Ok(Self {
            media: media(headers)?,
            packing: packing(headers)?,
        })
    }
}

fn media(headers: &HeaderMap) -> Result<Media, Refusal> {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
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

/// The most bytes that the body can have: what its head says, else the limit.
pub(super) fn announced(body: &Body, limit: u64) -> Result<u64, Refusal> {
    let announced = body.size_hint().exact().unwrap_or(limit);
    if announced > limit {
        return Err(too_large(limit));
    }
    Ok(announced)
}

/// Reads a body of at most `limit` bytes in `patience`.
pub(super) async fn read(body: Body, limit: u64, patience: Duration) -> Result<Bytes, Refusal> {
    let slow = |_| {
        let detail = format!("the body did not come within {} seconds", patience.as_secs());
        Refusal::new(ProblemKind::SlowBody, detail)
    };
    timeout(patience, read_all(body, limit)).await.map_err(slow)?
}

async fn read_all(mut body: Body, limit: u64) -> Result<Bytes, Refusal> {
    let announced = body.size_hint().exact();
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let broken = |_| Refusal::new(ProblemKind::Malformed, "the body broke off");
        let Ok(data) = frame.map_err(broken)?.into_data() else {
            continue;
        };
        if (first.len() + rest.len() + data.len()) as u64 > limit {
            return Err(too_large(limit));
        }
        if rest.is_empty() && first.is_empty() {
            first = data;
            continue;
        }
        if !first.is_empty() {
            // What was announced was taken from the budget.
            rest.reserve(announced.and_then(|length| usize::try_from(length).ok()).unwrap_or(0));
            rest.extend_from_slice(&std::mem::take(&mut first));
        }
        rest.extend_from_slice(&data);
    }
    Ok(if first.is_empty() { rest.freeze() } else { first })
}

/// Reads a body away, within bounds: a connection that is closed while its client is still sending loses the answer.
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

/// The unpacked body, of at most `limit` bytes; what it takes is added to `hold` before it is there.
pub(super) fn unpack(packed: Bytes, packing: Packing, limit: u64, hold: &mut Hold) -> Result<Bytes, Refusal> {
    let most = ALWAYS_UNPACKED
        .max((packed.len() as u64).saturating_mul(MOST_EXPANSION))
        .min(limit);
    let input = &packed[..];
    let broken = |_| Refusal::new(ProblemKind::Malformed, "the body cannot be unpacked");
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
        let read = read.map_err(|_| Refusal::new(ProblemKind::Malformed, "the body cannot be unpacked"))?;
        if whole.len() as u64 > most {
            let detail =
                format!("the body is more than {most} bytes unpacked, or more than {MOST_EXPANSION} times as many");
            return Err(Refusal::new(ProblemKind::TooLarge, detail));
        }
        if (read as u64) < wanted {
            return Ok(whole.into());
        }
    }
}

fn too_large(limit: u64) -> Refusal {
    Refusal::new(ProblemKind::TooLarge, format!("a body has at most {limit} bytes"))
}
