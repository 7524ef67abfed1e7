"""Descriptions of APIs, OpenAPI or WADL, read into one model: paths, methods, parameters, bodies, roles."""
