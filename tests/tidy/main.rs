//! The rules of the house that a test can hold: arrows, words in sources, sizes, licences, and documents that are true.

mod arrows;
mod behaviours;
mod documents;
mod examples;
mod licences;
mod manifests;
mod sizes;
mod sources;
mod tree;
mod words;
