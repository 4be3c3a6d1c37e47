//! Prio2 as a [`Scheme`]: the functions that the programs call directly, for one report at a time.

use zeroize::Zeroizing;

use super::{Message, PROCESSORS, Point, Prio2, Randomness, SEED_LENGTH, Sum};
use crate::error::Prio2Error;
use crate::scheme::{Scheme, Transition, TransitionOf};

/// The plaintext of a packet.
pub type InputShare = Zeroizing<Vec<u8>>;
/// The data elements of a share while its proof is being verified.
pub type VerifyState = Zeroizing<Vec<u32>>;
/// The data elements of a share whose proof is verified.
pub type OutputShare = Zeroizing<Vec<u32>>;

impl Scheme for Prio2 {
    type Measurement = [bool];
    type Randomness = Randomness;
    type PublicShare = ();
    type InputShare = InputShare;
    type Agreement = Point;
    type VerifyState = VerifyState;
    type VerifierShare = Message;
    type VerifierMessage = ();
    type OutputShare = OutputShare;
    type AggregateShare = Sum;
    type AggregateResult = Vec<u32>;
    type Error = Prio2Error;

    fn processors(&self) -> usize {
        PROCESSORS
    }

    fn rounds(&self) -> usize {
        1
    }

    fn shard(
        &self,
        measurement: &[bool],
        randomness: &Randomness,
    ) -> Result<((), Vec<InputShare>), Prio2Error> {
        let mut shares = self.split(measurement, randomness)?;
        let first = std::mem::take(&mut shares.first);
        Ok((
            (),
            vec![
                Zeroizing::new(first),
                Zeroizing::new(shares.second[..SEED_LENGTH].to_vec()),
            ],
        ))
    }

    fn verify_init(
        &self,
        index: usize,
        agreement: &Point,
        _public: &(),
        share: &InputShare,
    ) -> Result<(VerifyState, Message), Prio2Error> {
        let mut elements = Zeroizing::new(Vec::new());
        self.decode_share(index, share, &mut elements)?;
        let message = self.evaluator(*agreement).message(index, &elements);
        Ok((Zeroizing::new(elements[..self.bins()].to_vec()), message))
    }

    fn verifier_shares_to_message(&self, shares: &[Message]) -> Result<(), Prio2Error> {
        if shares.len() != PROCESSORS {
            return Err(Prio2Error::ShareCount {
                found: shares.len(),
            });
        }
        if Message::is_valid(shares) {
            Ok(())
        } else {
            Err(Prio2Error::Proof)
        }
    }

    fn verify_next(
        &self,
        state: VerifyState,
        _message: &(),
    ) -> Result<TransitionOf<Self>, Prio2Error> {
        Ok(Transition::Finish(state))
    }

    fn aggregate(&self, shares: impl IntoIterator<Item = OutputShare>) -> Sum {
        let mut sum = Sum::new(self.bins());
        shares.into_iter().for_each(|share| sum.add(&share));
        sum
    }

    fn unshard(&self, shares: &[Sum]) -> Result<Vec<u32>, Prio2Error> {
        if shares.len() != PROCESSORS {
            return Err(Prio2Error::ShareCount {
                found: shares.len(),
            });
        }
        let mut total = Sum::new(self.bins());
        for share in shares {
            let (bins, found) = (self.bins(), share.values().len());
            if bins != found {
                return Err(Prio2Error::Dimension { bins, found });
            }
            total.merge(share);
        }
        Ok(total.values().to_vec())
    }
}
