#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = tallybox_model::avro::WriterSchema::parse(data);
    let _ = tallybox_transport::memory("");
    let _ = tallybox_facilitator::ids::IdSet::default();
});
