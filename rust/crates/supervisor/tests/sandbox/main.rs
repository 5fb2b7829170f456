//! Real sandboxes, made by the built supervisor and looked at from inside and outside.

#[cfg(test)]
#[cfg(feature = "weakened")]
mod attacks;
#[cfg(test)]
mod calls;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod files;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod hosts;
#[cfg(test)]
mod injector;
#[cfg(test)]
mod life;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod machines;
#[cfg(test)]
mod network;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod posture;
#[cfg(test)]
mod process_tier;
#[cfg(test)]
mod programs;
#[cfg(test)]
mod support;
#[cfg(test)]
mod templates;
#[cfg(test)]
mod unprivileged;
