//! What a machine has and a task needs of it.

use std::collections::BTreeSet;
use std::time::Duration;

use toml::de::DeValue;

use super::{Entry, Problem, Reader};
use crate::domain::resources::{GpuId, GpuIdError, MOST_GPUS, MOST_PARTS, Packing};

/// As long as any duration may be.
const MOST_MINUTES: u32 = 14_400_000;

impl Reader<'_> {
    /// Into how many parts the machine is divided.
    pub(in super::super) fn packing(&mut self, entry: &Entry<'_, '_>) -> Option<Packing> {
        self.count_in(entry, 1..=MOST_PARTS).and_then(Packing::new)
    }

    /// A number of minutes.
    pub(in super::super) fn minutes(&mut self, entry: &Entry<'_, '_>) -> Option<Duration> {
        self.count_in(entry, 1..=MOST_MINUTES).map(|minutes| Duration::from_mins(minutes.into()))
    }

    /// How many GPUs there are, or which.
    pub(in super::super) fn devices(&mut self, entry: &Entry<'_, '_>) -> Option<BTreeSet<GpuId>> {
        match entry.value.get_ref() {
            DeValue::Integer(_) => {
                self.count_in(entry, 0..=MOST_GPUS).map(|count| (0..count).map(GpuId::Index).collect())
            }
            DeValue::Array(items) => {
                let mut found = BTreeSet::new();
                let mut good = true;
                for value in items {
                    good &= self.device(&Entry { key: entry.key.clone(), value }, &mut found).is_some();
                }
                good.then_some(found)
            }
            _ => self.wrong_type(entry, "a number or an array", Some("write it as `2`, or as `[0, 1]`")),
        }
    }

    /// One more GPU, by index or name.
    fn device(&mut self, entry: &Entry<'_, '_>, found: &mut BTreeSet<GpuId>) -> Option<()> {
        let read = match entry.value.get_ref() {
            DeValue::Integer(_) => Ok(GpuId::Index(self.count_in(entry, 0..=u32::MAX)?)),
            DeValue::String(_) => GpuId::parse(&self.text(entry)?),
            _ => return self.wrong_type(entry, "the index or the name of a GPU", None),
        };
        let new = read.and_then(|gpu| if found.contains(&gpu) { Err(GpuIdError::Twice(gpu)) } else { Ok(gpu) });
        match new {
            Ok(gpu) => {
                found.insert(gpu);
                Some(())
            }
            Err(error) => self.refuse(entry.value.span(), Problem::Gpu { key: entry.key.clone(), error }, None),
        }
    }
}
