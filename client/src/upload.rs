//! Converts a report into an upload, with the metric's parameters, the schema version and the time.

use tallybox_model::client_config::ClientMetric;
use tallybox_model::report::ReportUpload;

use crate::report::Report;

impl Report {
    /// Returns the upload of this report of `metric`, without an attestation. `created` is in
    /// milliseconds since the epoch.
    ///
    /// The upload states the metric's number of bins, whatever the report really contains. The
    /// ingestor rejects a report that was made for another configuration at admission.
    #[must_use]
    pub fn into_upload(
        self,
        metric: &ClientMetric,
        schema_version: i32,
        created: Option<i64>,
    ) -> ReportUpload {
        let mut shares = self.shares.into_iter();
        let mut share = || {
            let share = shares.next();
            share.map_or_else(Default::default, |share| {
                (share.payload, share.key_id.unwrap_or_default())
            })
        };
        let [
            (payload_first, key_id_first),
            (payload_second, key_id_second),
        ] = [share(), share()];
        ReportUpload {
            metric: metric.name.clone(),
            id: self.id.to_string(),
            created,
            schema_version,
            // Clients reject configurations with so large a number of bins.
            bins: i32::try_from(metric.encoding.bins).unwrap_or(i32::MAX),
            epsilon: metric.epsilon,
            prime: metric.prime,
            number_of_servers: metric.number_servers,
            hamming_weight: metric.hamming_weight,
            key_id_first,
            payload_first,
            key_id_second,
            payload_second,
            signature: None,
            certificate_chain: Vec::new(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;
    use tallybox_model::client_config::ClientKey;
    use tallybox_model::header::PRIME;
    use tallybox_model::registry::{EncodingKind, MetricEncoding};

    use super::*;
    use crate::{Client, Encoding, test_verifier};

    #[test]
    fn an_upload_says_what_the_metric_is_and_carries_both_shares() {
        let encoding = MetricEncoding {
            kind: EncodingKind::BitVector,
            bins: 3,
            labels: Vec::new(),
            groups: Vec::new(),
            bits: None,
        };
        let metric = ClientMetric {
            name: "a-v1".to_owned(),
            encoding,
            epsilon: 8.0,
            prime: PRIME,
            number_servers: 2,
            hamming_weight: None,
            cadence_hours: 24,
            sampling: 1.0,
            processors: ["pha-1", "facilitator-1"].map(|id| ClientKey {
                encryption_key_id: id.to_owned(),
                public_key: String::new(),
                bins: 3,
            }),
        };
        let bits = vec![true; Encoding::from(&metric.encoding).bins()];
        let client = Client::new(test_verifier::processors()).unwrap();
        let report = client
            .report(&bits, &mut ChaCha20Rng::seed_from_u64(1))
            .unwrap();
        let upload = report.clone().into_upload(&metric, 2, Some(7));
        assert_eq!(upload.id, report.id.to_string());
        assert_eq!(
            upload.payloads(),
            [&report.shares[0].payload[..], &report.shares[1].payload]
        );
        assert_eq!(upload.key_ids(), ["pha-1", "facilitator-1"]);
        assert_eq!(
            (upload.bins, upload.epsilon, upload.created),
            (3, 8.0, Some(7))
        );
        assert_eq!(upload.attestation().map(|_| ()), None);
    }
}
