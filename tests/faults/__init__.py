"""What goes wrong around a run: kills, full disks, servers away, and input that nobody foresaw.

``make test-faults`` runs these and prints what they did; ``make test`` leaves them out.
"""
