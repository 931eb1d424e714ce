"""Networks, subnets and ports: who may use them, and addresses that can't be given twice."""
