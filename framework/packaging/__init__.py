"""What is made out of the options' table: the DC/OS package, the Marathon app, and the page of the documentation.

Law: the same table, version and address give the same bytes. Nothing here starts or asks anything.
"""
