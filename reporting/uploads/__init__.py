"""Bulk spreadsheets: gate, reading, layout, checking, preview, apply, undo."""
