//! New models: random weights, and a tokenizer of the texts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::wordpiece::{WordPiece, WordPieceTrainer};
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{
    AddedToken, NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString,
    PreTokenizer, TokenizerBuilder, TokenizerImpl, Trainer,
};

use super::TrainError;
use crate::config::{BertConfig, Gpt2Config};
use crate::synthetic::{Synthetic, SyntheticGpt2, SyntheticHead};

/// The special tokens of a BERT; their places are their ids.
const SPECIAL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
/// What a piece inside a word begins with.
const CONTINUES: &str = "##";
/// The token that begins and ends texts of a GPT-2.
const END: &str = "<|endoftext|>";
/// Fewest rows in a table of words: a random BERT has a tokenizer with special tokens and letters, which is then replaced.
const FEWEST: usize = 128;
/// Part of a vocabulary that occurs less often than this is left out.
const LEAST: u64 = 2;

/// The kind of a new model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A BERT that classifies texts.
    Classifier,
    /// A GPT-2.
    Language,
}

/// The sizes of a new model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewModel {
    /// Its kind.
    pub kind: Kind,
    /// Layers.
    pub layers: usize,
    /// Width of hidden states; the feed-forward part is four times as wide.
    pub width: usize,
    /// Attention heads.
    pub heads: usize,
    /// Tokens in the vocabulary, at most.
    pub vocabulary: usize,
    /// Longest text in tokens.
    pub positions: usize,
    /// What its weights are drawn from.
    pub seed: u64,
}

impl NewModel {
    /// Writes a model with random weights and a tokenizer made of the texts of a file: the classes of a classifier are
    /// those of the file.
    ///
    /// # Errors
    ///
    /// For a file that cannot be read, or has no classes; for sizes that cannot be; and for a directory that cannot be
    /// written.
    pub fn write(&self, data: &Path, dir: &Path) -> Result<(), TrainError> {
        let text = std::fs::read_to_string(data)
            .map_err(|source| TrainError::Io { file: data.to_owned(), source })?;
        let lines = || text.lines().filter(|line| !line.trim().is_empty());
        let tokenizer = |json: tokenizers::Result<(String, usize)>| {
            json.map_err(|e| TrainError::Tokenizer { file: data.to_owned(), what: e.to_string() })
        };
        let (json, vocabulary) = match self.kind {
            Kind::Language => {
                let (json, vocabulary) = tokenizer(byte_level(lines(), self.vocabulary))?;
                let end = (vocabulary - 1) as u32;
                let config = Gpt2Config {
                    vocab_size: vocabulary,
                    n_positions: self.positions,
                    n_embd: self.width,
                    n_layer: self.layers,
                    n_head: self.heads,
                    bos_token_id: Some(end),
                    eos_token_id: Some(end),
                    ..Gpt2Config::tiny()
                };
                SyntheticGpt2::new(config, self.seed).write(dir)?;
                (json, vocabulary)
            }
            Kind::Classifier => {
                let split: Vec<(&str, &str)> = lines().filter_map(|line| line.rsplit_once('\t')).collect();
                let classes: BTreeSet<&str> = split.iter().map(|(_, class)| *class).collect();
                if classes.len() < 2 {
                    let what = "fewer than two classes: each line is a text, a tab and its class".to_owned();
                    return Err(TrainError::Data { file: data.to_owned(), line: 0, what });
                }
                let texts = split.iter().map(|(text, _)| *text);
                let (json, vocabulary) = tokenizer(word_pieces(texts, self.vocabulary))?;
                let config = BertConfig {
                    vocab_size: vocabulary.max(FEWEST),
                    hidden_size: self.width,
                    num_hidden_layers: self.layers,
                    num_attention_heads: self.heads,
                    intermediate_size: 4 * self.width,
                    max_position_embeddings: self.positions,
                    ..BertConfig::tiny()
                };
                let head = SyntheticHead::Classification { labels: classes.len() };
                Synthetic::new(config, head, self.seed).write(dir)?;
                name_classes(&dir.join("config.json"), &classes)?;
                (json, vocabulary)
            }
        };
        tracing::info!("a vocabulary of {vocabulary} tokens");
        let file = dir.join("tokenizer.json");
        std::fs::write(&file, json).map_err(|source| TrainError::Io { file, source })
    }
}

/// Writes the names of classes into a configuration.
fn name_classes(file: &Path, classes: &BTreeSet<&str>) -> Result<(), TrainError> {
    let file: PathBuf = file.to_owned();
    let text = std::fs::read(&file).map_err(|source| TrainError::Io { file: file.clone(), source })?;
    let json = |source| TrainError::Json { file: file.clone(), source };
    let mut config: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&text).map_err(json)?;
    let ids = || classes.iter().enumerate();
    let names = ids().map(|(id, class)| (id.to_string(), (*class).into()));
    config.insert("id2label".to_owned(), serde_json::Value::Object(names.collect()));
    let numbers = ids().map(|(id, class)| ((*class).to_owned(), id.into()));
    config.insert("label2id".to_owned(), serde_json::Value::Object(numbers.collect()));
    let text = serde_json::to_vec_pretty(&config).map_err(json)?;
    std::fs::write(&file, text).map_err(|source| TrainError::Io { file: file.clone(), source })
}

/// `tokenizer.json` of word pieces (Schuster and Nakajima, 2012) in lower case, and the size of its vocabulary.
///
/// The library numbers the letters inside words in the order in which it meets them, which is another in every process, and
/// decides by those numbers between pairs that are equally frequent. So the letters are given to it as special tokens, in
/// alphabetical order: the same texts give the same vocabulary.
fn word_pieces<'a>(texts: impl Iterator<Item = &'a str>, size: usize) -> tokenizers::Result<(String, usize)> {
    let words = texts.map(words).collect::<tokenizers::Result<Vec<_>>>()?;
    let inner: BTreeSet<char> = words.iter().flatten().flat_map(|word| word.chars().skip(1)).collect();
    let letters = inner.into_iter().map(|letter| format!("{CONTINUES}{letter}"));
    let special = || SPECIAL.iter().map(|name| AddedToken::from(*name, true));
    let mut trainer = WordPieceTrainer::builder()
        .vocab_size(size)
        .min_frequency(LEAST)
        .show_progress(false)
        .special_tokens(special().chain(letters.map(|letter| AddedToken::from(letter, false))).collect())
        .build();
    // Words have no spaces.
    let lines = words.iter().map(|words| words.join(" "));
    trainer.feed(lines, |line| Ok(line.split(' ').map(str::to_owned).collect()))?;
    let mut model = WordPiece::default();
    trainer.train(&mut model)?;
    let mut tokenizer: TokenizerImpl<
        WordPiece,
        _,
        _,
        BertProcessing,
        tokenizers::decoders::wordpiece::WordPiece,
    > = TokenizerBuilder::new()
        .with_model(model)
        .with_normalizer(Some(BertNormalizer::default()))
        .with_pre_tokenizer(Some(BertPreTokenizer))
        .with_post_processor(Some(BertProcessing::new(("[SEP]".to_owned(), 3), ("[CLS]".to_owned(), 2))))
        .with_decoder(Some(tokenizers::decoders::wordpiece::WordPiece::default()))
        .build()?;
    tokenizer.add_special_tokens(special().collect::<Vec<_>>())?;
    let size = tokenizer.get_vocab_size(true);
    Ok((tokenizer.to_string(false)?, size))
}

/// The words of a text as a BERT sees them.
fn words(text: &str) -> tokenizers::Result<Vec<String>> {
    let mut normalized = NormalizedString::from(text);
    BertNormalizer::default().normalize(&mut normalized)?;
    let mut split = PreTokenizedString::from(normalized);
    BertPreTokenizer.pre_tokenize(&mut split)?;
    let splits = split.get_splits(OffsetReferential::Normalized, OffsetType::None);
    Ok(splits.into_iter().map(|(word, ..)| word.to_owned()).collect())
}

/// `tokenizer.json` of byte pairs (Sennrich et al., 2016) of bytes in disguise, and the size of its vocabulary: its last
/// token ends texts.
fn byte_level<'a>(
    texts: impl Iterator<Item = &'a str> + Send,
    size: usize,
) -> tokenizers::Result<(String, usize)> {
    let mut trainer = BpeTrainer::builder()
        .vocab_size(size.saturating_sub(1))
        .min_frequency(LEAST)
        .show_progress(false)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    let level = ByteLevel::new(false, false, true);
    let mut tokenizer: TokenizerImpl<BPE, tokenizers::NormalizerWrapper, ByteLevel, ByteLevel, ByteLevel> =
        TokenizerBuilder::new()
            .with_model(BPE::default())
            .with_pre_tokenizer(Some(level))
            .with_post_processor(Some(level))
            .with_decoder(Some(level))
            .build()?;
    tokenizer.train(&mut trainer, texts.map(str::to_owned))?;
    tokenizer.add_special_tokens([AddedToken::from(END, true)])?;
    let size = tokenizer.get_vocab_size(true);
    Ok((tokenizer.to_string(false)?, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_texts_give_the_same_pieces() {
        let texts = (0..400_u32).map(|i| format!("Caf\u{e9} {} ablated, re-bottled {}!", i * 7919 % 613, i));
        let texts: Vec<String> = texts.collect();
        let made = || word_pieces(texts.iter().map(String::as_str), 200).unwrap();
        let (json, size) = made();
        assert!(size <= 200, "{size}");
        (0..4).for_each(|_| assert_eq!(made().0, json));
        let tokenizer: tokenizers::Tokenizer = json.parse().unwrap();
        for (id, name) in SPECIAL.iter().enumerate() {
            assert_eq!(tokenizer.token_to_id(name), Some(id as u32));
        }
        let read = tokenizer.encode("re-bottled CAFE", true).unwrap();
        assert_eq!(read.get_tokens().first().map(String::as_str), Some("[CLS]"));
        assert_eq!(tokenizer.decode(read.get_ids(), true).unwrap(), "re - bottled cafe");
    }
}
