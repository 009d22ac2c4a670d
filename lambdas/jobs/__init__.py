"""What each background job does, without AWS Lambda: the shop does the same inline before it has workers."""
