"""What happens outside of web requests: workers, the steward, and the job that rings them."""
