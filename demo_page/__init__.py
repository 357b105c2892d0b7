"""What the demo shows: templates, style, words, and the plain values behind them. Gradio itself is in demo.py."""
