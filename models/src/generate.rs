//! Text generation: a conversation in which every token that the client receives becomes its next request.

mod private;
mod prompt;
mod reference;
mod sampling;

pub use self::private::{Generated, Told, generate};
pub use self::prompt::{Generation, PromptError};
pub use self::sampling::{Choice, Sampler, Sampling};

use ditto_core::tensor::Array;

use crate::model::Request;
use crate::run::RunError;

impl Generation {
    /// Asks for one token after the other, until there are as many as wanted or one ends the text.
    ///
    /// `answer` gives the model's output for a request and its tokens; `told` gets every token at once.
    fn write(
        &self,
        mut answer: impl FnMut(&Request, &[u32]) -> Result<Array<f32>, RunError>,
        told: &mut dyn FnMut(u32),
    ) -> Result<Vec<u32>, RunError> {
        let mut chooser = self.chooser();
        let (mut past, mut new, mut out) = (0, self.prompt.clone(), Vec::new());
        while out.len() < self.tokens {
            let request = Request { tokens: vec![new.len()], masks: Vec::new(), past };
            let output = answer(&request, &new)?;
            past += new.len();
            let id = chooser.choose(output.data())?;
            out.push(id);
            told(id);
            if self.ends(id) {
                break;
            }
            new = vec![id];
        }
        Ok(out)
    }
}
