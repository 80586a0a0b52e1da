"""The extraction service's steps; `shared.step` finds them by import."""
