//! Whether a service can do its work, by component.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

/// The components of a process and why each is not ready. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Health {
    components: Arc<RwLock<BTreeMap<&'static str, Option<String>>>>,
}

impl Health {
    /// The component works.
    pub fn ready(&self, component: &'static str) {
        self.set(component, None);
    }

    /// The component does not work (yet), and why.
    pub fn not_ready(&self, component: &'static str, reason: impl Into<String>) {
        self.set(component, Some(reason.into()));
    }

    /// Every component that is not ready, with its reason. Until one is named, the process is starting.
    #[must_use]
    pub fn missing(&self) -> BTreeMap<&'static str, String> {
        let components = self.components.read().unwrap_or_else(PoisonError::into_inner);
        if components.is_empty() {
            return BTreeMap::from([("process", "starting".to_owned())]);
        }
        components
            .iter()
            .filter_map(|(component, reason)| Some((*component, reason.clone()?)))
            .collect()
    }

    /// Whether every component is ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.missing().is_empty()
    }

    fn set(&self, component: &'static str, reason: Option<String>) {
        let mut components = self.components.write().unwrap_or_else(PoisonError::into_inner);
        let before = components.insert(component, reason.clone());
        if before.as_ref() == Some(&reason) {
            return;
        }
        if before.is_none() {
            // Named for the first time: it has not failed, it has not begun.
            tracing::debug!(component, ready = reason.is_none(), "component");
            return;
        }
        if let Some(reason) = reason {
            tracing::warn!(component, reason, "not ready");
        } else {
            tracing::info!(component, "ready");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_ready_when_every_component_is() {
        let health = Health::default();
        assert!(!health.is_ready(), "nothing is known yet");
        health.not_ready("kafka", "connecting");
        health.ready("postgres");
        assert_eq!(health.missing(), BTreeMap::from([("kafka", "connecting".to_owned())]));
        health.ready("kafka");
        assert!(health.is_ready());
        health.not_ready("postgres", "away");
        assert!(!health.is_ready());
    }
}
