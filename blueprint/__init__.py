"""What can be built, as plain frozen data: parts, stages, environments. Nothing here knows CDK."""
