"""The local AWS: moto for the services, and a small CloudFormation of our own in front of them."""
