"""False answers from the bank of approved answers, and whether they lapse with what they rest on."""
