"""OGC API - Processes, Part 1: Core 1.0 (OGC 18-062r2), and what this gateway offers beyond it.

Routes carry their description (``operations.documented``); the OpenAPI document is made of it.
"""
