//! `TokenSource`: where adapters get bearer tokens from.
