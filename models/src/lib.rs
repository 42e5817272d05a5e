//! Private BERT.
