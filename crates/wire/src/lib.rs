//! Codecs of foreign formats: Standard Webhooks, the SDK protocol, management API bodies.
