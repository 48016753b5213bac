//! HTTP in: sources, SDK surface, management API; authentication and one policy table.
