//! Real sandboxes, made by the built supervisor and looked at from inside and outside.

mod life;
mod support;
