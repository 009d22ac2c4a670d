"""The local AWS: moto for the services, and a small CloudFormation of our own in front of them.

What moto's CloudFormation gets wrong, and where that is put right; tests/workbench/sandbox/test_gaps.py shows each.

 1. Stacks of change sets have no outputs, exports or imports, and change sets are found by   engine, api
    name only, so that a missing one is never said to be missing
 2. Templates are read from some addresses only                                               api
 3. Types that are not known are skipped                             change_sets, and all of kinds/
 4. What Ref and GetAtt give of RDS parameter groups, target groups  kinds/databases, balancers, hosts, backups
    and scaling policies is of no use; names of backup plans are never free again
 5. A previous value that names an SSM parameter is looked up twice                           values
 6. Updates delete before they create, and not every type can be updated                      engine
 7. A denial under a condition holds without the condition                                    kinds/storage
 8. Deletes that fail are swallowed, and what others need goes first or never  engine, kinds/network, security_groups
 9. A failed item of a batch counts as done, and functions run in Docker, message by message  runner, run_handler
10. Weak references and dynamic ones come to nothing                                          values, stacks

Of moto's services, `server` puts right what no resource is behind: whom it answers, which roles there are to take, ids
of hosted zones, lists of recovery points. What they lack of a type of resource, its kind says.
"""
