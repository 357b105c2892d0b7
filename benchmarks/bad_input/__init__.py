"""Bad input of every kind, each as a person would meet it: is the error clear, and is nothing half-written served?"""
