//! What a secret-sharing scheme has to offer, in the words of VDAF-18 section 5, so that Prio3 and Poplar1 can take
//! Prio2's place one day without the programs changing their shape.
//!
//! Deviations from the draft: the number of processors is asked of the scheme and shares come in slices, never in
//! pairs; randomness is passed in; what the processors agree on beforehand (the draft's verification key, nonce and
//! aggregation parameter; Prio2's evaluation point) is one [`Scheme::Agreement`].

/// What a processor does after a round of verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transition<State, Share, Output> {
    /// Another round: keep the state, send the verifier share to the other processors.
    Continue(State, Share),
    /// The report is valid; this is the processor's share of what is aggregated.
    Finish(Output),
}

/// The [`Transition`] of a scheme.
pub type TransitionOf<S> =
    Transition<<S as Scheme>::VerifyState, <S as Scheme>::VerifierShare, <S as Scheme>::OutputShare>;

/// What a client sends: the public share, and one input share a processor.
pub type Sharded<S> = (<S as Scheme>::PublicShare, Vec<<S as Scheme>::InputShare>);

/// A scheme that splits measurements among processors which verify and add them without seeing any.
pub trait Scheme {
    /// What a client measures.
    type Measurement: ?Sized;
    /// What sharding draws.
    type Randomness;
    /// What every processor gets of a report.
    type PublicShare;
    /// What one processor gets of a report.
    type InputShare;
    /// What the processors agree on before they verify.
    type Agreement;
    /// What a processor keeps from one round to the next.
    type VerifyState;
    /// What a processor tells the others in a round.
    type VerifierShare;
    /// What a round's verifier shares come to.
    type VerifierMessage;
    /// One processor's share of a verified report.
    type OutputShare;
    /// One processor's share of the aggregate.
    type AggregateShare;
    /// What the portal learns.
    type AggregateResult;
    /// What can go wrong; an invalid report is such an error.
    type Error;

    /// How many processors there are.
    fn processors(&self) -> usize;

    /// How many rounds of verification there are, at least one.
    fn rounds(&self) -> usize;

    /// Client: splits a measurement into a public share and one input share a processor (VDAF-18 section 5.1).
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

    /// Anyone: combines all processors' verifier shares of one round, in the order of the processors.
    ///
    /// # Errors
    /// If the report is invalid.
    fn verifier_shares_to_message(&self, shares: &[Self::VerifierShare]) -> Result<Self::VerifierMessage, Self::Error>;

    /// Processor: goes on with what a round came to.
    ///
    /// # Errors
    /// If the report is invalid.
    fn verify_next(
        &self,
        state: Self::VerifyState,
        message: &Self::VerifierMessage,
    ) -> Result<TransitionOf<Self>, Self::Error>;

    /// Processor: adds verified reports (section 5.3).
    fn aggregate(&self, shares: impl IntoIterator<Item = Self::OutputShare>) -> Self::AggregateShare;

    /// Portal: puts all processors' aggregate shares together (section 5.4).
    ///
    /// # Errors
    /// If they are not one from each processor, over the same bins.
    fn unshard(&self, shares: &[Self::AggregateShare]) -> Result<Self::AggregateResult, Self::Error>;
}
