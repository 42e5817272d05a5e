//! What training makes small.

use candle_core::{D, Result, Tensor};

use super::data::Batch;
use super::read::Reading;
use crate::architecture::PublicHead;

/// Mean square of a difference.
pub(super) fn mse(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    (x - y)?.sqr()?.mean_all()
}

/// The sum of mean squares over corresponding tensors.
fn sum_of_mse(student: &[Tensor], teacher: &[Tensor]) -> Result<Tensor> {
    if student.len() != teacher.len() || student.is_empty() {
        candle_core::bail!(
            "{} tensors of the student beside {} of the teacher",
            student.len(),
            teacher.len()
        );
    }
    let each = student.iter().zip(teacher).map(|(x, y)| mse(x, y)).collect::<Result<Vec<_>>>()?;
    Tensor::stack(&each, 0)?.sum_all()
}

/// Layer by layer: embeddings, hidden states and attention scores (TinyBERT, Jiao et al., 2020).
pub(super) fn layers(student: &Reading, teacher: &Reading) -> Result<Tensor> {
    sum_of_mse(&student.seen.hidden, &teacher.seen.hidden)?
        + sum_of_mse(&student.seen.scores, &teacher.seen.scores)?
}

/// Logarithms of softmax.
fn log_softmax(x: &Tensor) -> Result<Tensor> {
    let below = x.broadcast_sub(&x.detach().max_keepdim(D::Minus1)?)?;
    below.broadcast_sub(&below.exp()?.sum_keepdim(D::Minus1)?.log()?)
}

/// Logits [.., n] as rows [rows, n].
pub(super) fn rows(logits: &Tensor) -> Result<Tensor> {
    logits.flatten_to(D::Minus2)
}

/// Cross-entropy to classes [rows]: natural logarithm, mean.
pub(super) fn cross_entropy(logits: &Tensor, classes: &Tensor) -> Result<Tensor> {
    log_softmax(&rows(logits)?)?.gather(&classes.unsqueeze(1)?, 1)?.mean_all()?.neg()
}

/// Cross-entropy to the teacher's probabilities, mean over rows.
fn soft_cross_entropy(student: &Tensor, teacher: &Tensor) -> Result<Tensor> {
    let (student, teacher) = (rows(student)?, log_softmax(&rows(teacher)?)?.exp()?.detach());
    (log_softmax(&student)? * teacher)?.sum(D::Minus1)?.mean_all()?.neg()
}

/// Rows of length 1.
fn unit(x: &Tensor) -> Result<Tensor> {
    x.broadcast_div(&x.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?)
}

/// What an embedding is for: its direction, and which texts are alike.
fn embeddings(student: &Tensor, teacher: &Tensor) -> Result<Tensor> {
    let (student, teacher) = (unit(&rows(student)?)?, unit(&rows(teacher)?)?.detach());
    let apart = (&student * &teacher)?.sum(D::Minus1)?.mean_all()?.affine(-1.0, 1.0)?;
    let alike = |x: &Tensor| x.matmul(&x.t()?);
    apart + mse(&alike(&student)?, &alike(&teacher)?)?
}

/// What is asked for: labels, or what follows.
pub(super) fn task(output: &Tensor, batch: &Batch) -> Result<Option<Tensor>> {
    let wanted = batch.labels.as_ref().or(batch.next.as_ref());
    wanted.map(|wanted| cross_entropy(output, wanted)).transpose()
}

/// The teacher's answers, and what is asked for where it is known.
pub(super) fn prediction(
    head: &PublicHead,
    student: &Reading,
    teacher: &Reading,
    batch: &Batch,
) -> Result<Tensor> {
    let soft = match head {
        PublicHead::Embedding { .. } => embeddings(&student.output, &teacher.output)?,
        _ => soft_cross_entropy(&student.output, &teacher.output)?,
    };
    match task(&student.output, batch)? {
        Some(hard) => soft + hard,
        None => Ok(soft),
    }
}
