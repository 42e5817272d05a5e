//! Words of synthetic vocabularies.

/// Frequent words first.
pub(super) const WORDS: &str = "\
    the of and to in a is was it for on with as that by at from his her an be this are or which you not have \
    had but one all were their she he we they there been has when who will more no if out so up said what \
    its about than into them can only other new some could time these two may then do first any my now such \
    like our over man me even most made after also did many before must through back years where much your \
    way well down should because each just those people how too little state good very make world still own \
    see men work long get here between both life being under never day same another know while last might us \
    great old year off come since against go came right used take three small large cat dog house water \
    light night river book music city film movie good bad best worst boring brilliant awful lovely story \
    actor plot ending happy sad";
