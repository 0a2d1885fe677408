"""The files that the executor writes for Alluxio, as templates; and the dashboard's page, looks and behaviour."""
