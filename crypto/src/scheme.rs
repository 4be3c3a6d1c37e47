//! The interface of a secret-sharing scheme in the terms of VDAF-18 section 5, so that Prio3 or
//! Poplar1 can replace Prio2 without structural changes to the programs.
//!
//! Deviations from the draft: the scheme itself defines the number of processors, and shares are
//! passed in slices, never in pairs. Randomness is passed in. The values on which the processors
//! agree in advance (the draft's verification key, nonce and aggregation parameter; Prio2's
//! evaluation point) are one associated type, [`Scheme::Agreement`].

/// The result of a processor's step in the verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transition<State, Share, Output> {
    /// Another round follows: keep the state, and send the verifier share to the other processors.
    Continue(State, Share),
    /// The report is valid. The value is the processor's output share.
    Finish(Output),
}

/// The [`Transition`] of a scheme.
pub type TransitionOf<S> = Transition<
    <S as Scheme>::VerifyState,
    <S as Scheme>::VerifierShare,
    <S as Scheme>::OutputShare,
>;

/// The output of a client: the public share, and one input share for each processor.
pub type Sharded<S> = (<S as Scheme>::PublicShare, Vec<<S as Scheme>::InputShare>);

/// A scheme that splits measurements among processors, which verify and add them without learning
/// any of them.
pub trait Scheme {
    /// The measurement of a client.
    type Measurement: ?Sized;
    /// The random values for sharding.
    type Randomness;
    /// The part of a report that every processor receives.
    type PublicShare;
    /// The part of a report that one processor receives.
    type InputShare;
    /// The values on which the processors agree before they verify.
    type Agreement;
    /// The state that a processor keeps between rounds.
    type VerifyState;
    /// The message that a processor sends to the others in a round.
    type VerifierShare;
    /// The combination of a round's verifier shares.
    type VerifierMessage;
    /// One processor's share of a verified report.
    type OutputShare;
    /// One processor's share of the aggregate.
    type AggregateShare;
    /// The result that the portal learns.
    type AggregateResult;
    /// The error type. An invalid report is such an error.
    type Error;

    /// Returns the number of processors.
    fn processors(&self) -> usize;

    /// Returns the number of rounds of verification, at least one.
    fn rounds(&self) -> usize;

    /// Client: splits a measurement into a public share and one input share for each processor
    /// (VDAF-18 section 5.1).
    ///
    /// # Errors
    /// If the measurement does not fit the scheme.
    fn shard(
        &self,
        measurement: &Self::Measurement,
        randomness: &Self::Randomness,
    ) -> Result<Sharded<Self>, Self::Error>;

    /// Processor `index`: starts the verification of a report (section 5.2).
    ///
    /// # Errors
    /// If the share is malformed.
    fn verify_init(
        &self,
        index: usize,
        agreement: &Self::Agreement,
        public: &Self::PublicShare,
        share: &Self::InputShare,
    ) -> Result<(Self::VerifyState, Self::VerifierShare), Self::Error>;

    /// Any party: combines all processors' verifier shares of one round, in the order of the
    /// processors.
    ///
    /// # Errors
    /// If the report is invalid.
    fn verifier_shares_to_message(
        &self,
        shares: &[Self::VerifierShare],
    ) -> Result<Self::VerifierMessage, Self::Error>;

    /// Processor: continues with the combined message of a round.
    ///
    /// # Errors
    /// If the report is invalid.
    fn verify_next(
        &self,
        state: Self::VerifyState,
        message: &Self::VerifierMessage,
    ) -> Result<TransitionOf<Self>, Self::Error>;

    /// Processor: adds verified reports (section 5.3).
    fn aggregate(
        &self,
        shares: impl IntoIterator<Item = Self::OutputShare>,
    ) -> Self::AggregateShare;

    /// Portal: combines the aggregate shares of all processors (section 5.4).
    ///
    /// # Errors
    /// If there is not one share from each processor, or their numbers of bins differ.
    fn unshard(
        &self,
        shares: &[Self::AggregateShare],
    ) -> Result<Self::AggregateResult, Self::Error>;
}
